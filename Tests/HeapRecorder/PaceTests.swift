import HeapLedger
import HeapProfile
import HeapRecorder
import Testing

extension RecorderTests {
    /// The clock is an argument here: how sampling follows the load is a function of (time, cost) pairs.
    @Suite struct Pace {
        private let recording = Recording(interval: 16_384)

        init() {
            recording.record(0x10000, size: 0, stack: [1])  // makes the ledger
        }

        private func sampling() throws -> Sampling { try recording.profile().sampling }

        /// `perSecond` samples a second, evenly, from `start` on.
        private func sample(perSecond: Double, cost: UInt64 = 400, seconds: Double, from start: Double) {
            for i in 0..<Int(perSecond * seconds) {
                hr_pace(UInt64((start + Double(i) / perSecond) * 1e9), cost)
            }
        }

        @Test func withinTheBudgetNothingChanges() throws {
            sample(perSecond: 12_000, seconds: 3, from: 1)
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().paced == 0)
        }

        /// A quarter of a window's budget is used up in 4 ms: two doublings, with which all of it lasts for 69.
        @Test func aBurstIsSampledMoreCoarselyAndFinelyAgainAfterwards() throws {
            sample(perSecond: 180_000, seconds: 0.005, from: 1)
            let burst = try sampling()
            #expect(burst.interval == 16_384 << 2)
            #expect(burst.paced == 1 && burst.stalled == 0)
            sample(perSecond: 100, seconds: 0.5, from: 2)
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().widestInterval == 16_384 << 2)
        }

        /// 800 samples a second leave room for twice as many, not for four times.
        @Test func itBecomesFinerByAsMuchAsIsQuiet() throws {
            sample(perSecond: 180_000, seconds: 0.0056, from: 1)
            #expect(try sampling().interval == 16_384 << 4)
            sample(perSecond: 800, seconds: 0.26, from: 1.03)
            #expect(try sampling().interval == 16_384 << 3)
        }

        /// A program that allocates so much, sampled as the interval says from time to time.
        private func allocate(perSecond bytes: Double, seconds: Double, from start: Double) throws {
            var due = 0.0
            for slice in stride(from: start, to: start + seconds, by: 0.004) {
                due += 0.004 * bytes / Double(try sampling().interval)
                sample(perSecond: due.rounded(.down) / 0.004, seconds: 0.0040001, from: slice)
                due -= due.rounded(.down)
            }
        }

        /// 12,500 samples a second of the finest interval are allowed, 2,500 of a wider one; and back, once it would do.
        @Test func theFinestIntervalMayCostMore() throws {
            try allocate(perSecond: 190e6, seconds: 1, from: 1)
            #expect(try sampling().interval == 16_384)
            try allocate(perSecond: 2e9, seconds: 1, from: 2)
            #expect(try sampling().interval == 16_384 << 6)
            try allocate(perSecond: 190e6, seconds: 2, from: 3)
            #expect(try sampling().interval == 16_384 << 3)
            try allocate(perSecond: 150e6, seconds: 1, from: 5)
            #expect(try sampling().interval == 16_384)
        }

        /// 800 samples a second are few, but not if each takes 8 µs.
        @Test func timeIsABudgetAsWell() throws {
            sample(perSecond: 800, cost: 8000, seconds: 0.25, from: 1)
            #expect(try sampling().interval == 32_768)
            #expect(try sampling().stalled == 0)
        }

        @Test func stallsAreSaid() throws {
            sample(perSecond: 100, cost: 8_000_000, seconds: 0.25, from: 1)
            let sampling = try sampling()
            #expect(sampling.stalled > 0)
            #expect(sampling.interval > 16_384)
        }

        /// A thread that loses its core in the middle of a sample is no load.
        @Test func oneInterruptedSampleIsNoStall() throws {
            hr_pace(1_000_000_000, 20_000_000)
            sample(perSecond: 1000, seconds: 1, from: 1.01)
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().paced == 0)
        }

    }

    @Test func exactModeIsNeverPaced() throws {
        let exact = Recording(interval: 1)
        exact.record(0x10000, size: 0, stack: [1])
        for i in 0..<100_000 { hr_pace(UInt64(i), 1_000_000) }
        #expect(try exact.profile().sampling.interval == 1)
    }
}
