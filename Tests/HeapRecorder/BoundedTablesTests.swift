import HeapLedger
import HeapProfile
import HeapRecorder
import Testing

extension RecorderTests {
    @Suite struct BoundedTables {
        /// Ten times more live blocks than the table has slots: it thins itself, and stays unbiased.
        @Test func thinningKeepsTheEstimateUnbiased() throws {
            let recording = Recording()
            let blocks = 150_000
            for i in 0..<blocks { recording.record(0x10_0000 + UInt(i) * 48, size: 100, stack: [UInt64(i % 3 + 1)]) }
            let profile = try recording.profile()
            let live = profile.samples.reduce(0.0) { $0 + Double($1.weight) }
            let sigma = Double(blocks) * (pow2(profile.sampling.thinnings) / Double(blocks)).squareRoot()
            #expect(profile.sampling.thinnings >= 3)
            #expect(abs(live - Double(blocks)) < 4 * sigma)
            #expect(profile.sampling.samplesThinned > 0)
            #expect(profile.sampling.interval == profile.sampling.firstInterval << UInt64(profile.sampling.thinnings))
            #expect(Double(profile.sampling.samplesDropped) < 0.002 * Double(blocks))
        }

        /// A block that was thinned away is freed without a trace; one that stayed is booked with its grown weight.
        @Test func frednessIsUnbiasedAfterThinning() throws {
            let recording = Recording()
            let blocks = 150_000
            for i in 0..<blocks { recording.record(0x10_0000 + UInt(i) * 48, size: 100, stack: [1]) }
            for i in 0..<blocks { recording.free(0x10_0000 + UInt(i) * 48) }
            let profile = try recording.profile()
            let freed = profile.sites.map(\.freed.count).reduce(0, +)
            let sigma = Double(blocks) * (pow2(profile.sampling.thinnings) / Double(blocks)).squareRoot()
            #expect(profile.samples.isEmpty)
            #expect(abs(freed - Double(blocks)) < 4 * sigma)
        }

        @Test func stacksWithoutRoomAreBookedTogetherAndCounted() throws {
            let recording = Recording()
            let stacks = 20_000
            for i in 0..<stacks {
                recording.record(0x10_0000 + UInt(i) * 64, size: 10, stack: (0..<30).map { UInt64(i * 31 + $0 + 1) })
                recording.free(0x10_0000 + UInt(i) * 64)
            }
            let profile = try recording.profile()
            #expect(profile.sampling.stacksLost > 0)
            #expect(profile.sites.map(\.allocated.count).reduce(0, +) == Double(stacks))
        }

        private func pow2(_ n: Int) -> Double { Double(sign: .plus, exponent: n, significand: 1) }
    }
}
