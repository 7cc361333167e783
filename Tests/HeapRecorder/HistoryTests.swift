import HeapLedger
import HeapProfile
import HeapRecorder
import Testing

extension RecorderTests {
    /// The clock is an argument here: a site's history is a function of (time, change) pairs.
    @Suite struct History {
        private func site() -> UInt32 {
            let frames: [UInt64] = [0x4242]
            return hr_site_intern(hr_stack_hash(frames, 1), frames, 1, 0)
        }

        private func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }

        @Test func checkpointsShowWhatWasLive() throws {
            let recording = Recording()
            recording.record(0x10000, size: 0, stack: [1])  // makes the ledger
            let site = site()
            hr_site_allocated(site, 1, 1000, nanoseconds(0.1))
            hr_site_allocated(site, 1, 500, nanoseconds(0.6))
            hr_site_freed(site, 1, 1000, nanoseconds(0.1), nanoseconds(1.3))
            hr_site_allocated(site, 1, 1, nanoseconds(1.6))
            let profile = try recording.profile()
            let found = try #require(profile.sites.first { $0.allocated.bytes == 1501 })
            #expect(found.historyPeriod == 0.25)
            #expect(found.history.prefix(6) == [1000, 1000, 1500, 1500, 1500, 500])
        }

        @Test func thePeriodDoublesAndKeepsTheWholeLife() throws {
            let recording = Recording()
            recording.record(0x10000, size: 0, stack: [1])
            let site = site()
            // One byte a millisecond for 100 seconds: live at t seconds is 1000 t.
            for i in 1...100_000 { hr_site_allocated(site, 1, 1, nanoseconds(Double(i) / 1000)) }
            let found = try #require(try recording.profile().sites.first { $0.allocated.bytes == 100_000 })
            #expect(found.historyPeriod == 4)
            #expect(found.history.count >= 24)
            for (i, value) in found.history.prefix(24).enumerated() {
                #expect(abs(Double(value) - Double(i + 1) * 4000) <= 1)
            }
        }

        @Test func aSiteThatComesLateWasEmptyBefore() throws {
            let recording = Recording()
            recording.record(0x10000, size: 0, stack: [1])
            let site = site()
            hr_site_allocated(site, 1, 77, nanoseconds(10))
            hr_site_allocated(site, 1, 1, nanoseconds(11))
            let found = try #require(try recording.profile().sites.first { $0.allocated.bytes == 78 })
            #expect(found.historyPeriod == 0.5)
            #expect(found.history.prefix(20).allSatisfy { $0 == 0 })
            #expect(found.history[20] == 77)
        }
    }
}
