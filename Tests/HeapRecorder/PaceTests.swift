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

        /// A program that allocates so much, sampled as the interval says from time to time.
        private func allocate(perSecond bytes: Double, seconds: Double, from start: Double) throws {
            var due = 0.0
            for slice in stride(from: start, to: start + seconds, by: 0.004) {
                due += 0.004 * bytes / Double(try sampling().interval)
                sample(perSecond: due.rounded(.down) / 0.004, seconds: 0.0040001, from: slice)
                due -= due.rounded(.down)
            }
        }

        /// Has it be known for a while, so that what comes next is not a process's beginning.
        private func beQuiet(from start: Double) { sample(perSecond: 100, seconds: 0.6, from: start) }

        @Test func withinTheBudgetNothingChanges() throws {
            beQuiet(from: 1)
            sample(perSecond: 11_000, seconds: 3, from: 2)
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().paced == 0)
        }

        /// A window's budget is used up in 16 ms: two doublings.
        @Test func aBurstIsSampledMoreCoarselyAndFinelyAgainAfterwards() throws {
            beQuiet(from: 1)
            sample(perSecond: 180_000, seconds: 0.018, from: 2)
            let burst = try sampling()
            #expect(burst.interval == 16_384 << 2)
            #expect(burst.paced == 1 && burst.stalled == 0)
            sample(perSecond: 100, seconds: 0.5, from: 3)
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().widestInterval == 16_384 << 2)
        }

        /// A process that begins with a storm is not learnt from that: a quarter of a window's budget will do.
        @Test func aStormAtTheBeginningIsSeenSooner() throws {
            sample(perSecond: 180_000, seconds: 0.0044, from: 1)
            #expect(try sampling().interval == 16_384 << 2)
            #expect(try sampling().paced == 1)
        }

        /// 400 samples a second leave room for twice as many, not for four times, and the finest interval is far.
        @Test func itBecomesFinerByAsMuchAsIsQuiet() throws {
            sample(perSecond: 180_000, seconds: 0.0085, from: 1)  // 700, which are the first window's, and 500 and 312
            #expect(try sampling().interval == 16_384 << 6)
            sample(perSecond: 400, seconds: 0.3, from: 1.01)
            #expect(try sampling().interval == 16_384 << 5)
        }

        /// 11,200 samples a second of the finest interval are allowed, 2,000 up to eight times that, 1,250 of a wider one; and
        /// back, once it would do.
        @Test func theFinestIntervalMayCostMore() throws {
            beQuiet(from: 0)
            try allocate(perSecond: 170e6, seconds: 1, from: 1)
            #expect(try sampling().interval == 16_384)
            try allocate(perSecond: 2e9, seconds: 1, from: 2)
            #expect(try sampling().interval == 16_384 << 7)
            try allocate(perSecond: 190e6, seconds: 2, from: 3)
            #expect(try sampling().interval == 16_384 << 3)
            try allocate(perSecond: 150e6, seconds: 1, from: 5)
            #expect(try sampling().interval == 16_384)
        }

        /// 8,800 samples a second, all of a tenth of a second within 12 ms of it.
        @Test func burstsWithinTheBudgetAreSampledFinely() throws {
            for tenth in 10..<30 { try allocate(perSecond: 1.2e9, seconds: 0.012, from: Double(tenth) / 10) }
            let paced = try sampling().paced  // at the beginning
            for tenth in 30..<50 { try allocate(perSecond: 1.2e9, seconds: 0.012, from: Double(tenth) / 10) }
            #expect(try sampling().interval == 16_384)
            #expect(try sampling().paced == paced)
        }

        /// What lives was sampled before the burst, and does not multiply when that has passed.
        @Test func whatLivesKeepsNoBurstFromPassing() throws {
            for i in 1...5000 { recording.record(UInt(i) << 12, size: 100, stack: [1]) }
            try allocate(perSecond: 2e9, seconds: 0.5, from: 1)
            #expect(try sampling().interval > 16_384)
            #expect(try sampling().thinnings == 0)
            try allocate(perSecond: 5e6, seconds: 5, from: 2)
            #expect(try sampling().interval == 16_384)
        }

        /// Only once it would be half as full as thinning leaves it.
        @Test func aTableThatWasFullIsNotFilledAgain() throws {
            var blocks: [UInt] = []
            while try sampling().thinnings == 0 {
                for _ in 0..<100 {
                    blocks.append(UInt(blocks.count + 1) << 12)
                    recording.record(blocks.last!, size: 100, stack: [1])
                }
            }
            try allocate(perSecond: 5e6, seconds: 3, from: 1)
            #expect(try sampling().interval == 16_384 << 1)
            for block in blocks.prefix(blocks.count * 2 / 3) { recording.free(block) }
            try allocate(perSecond: 5e6, seconds: 1, from: 4)
            #expect(try sampling().interval == 16_384)
        }

        /// Its thread would not be seen for a gigabyte.
        @Test func aGapOfAStormIsNotCountedDownToItsEnd() throws {
            func take(_ blocks: Range<UInt>) {
                for i in blocks {
                    // Seconds pass, so that a busy machine's slow samples use up no budget.
                    if i % 100 == 99 { hr_pace_look(1 << 60 + UInt64(i) * 1_000_000_000) }
                    guard !hr_skip(1024) else { continue }
                    var caller = hr_caller(bp: 0, ip: 0x4242)
                    hr_allocated(UnsafeMutableRawPointer(bitPattern: i << 12), 1024, &caller)
                }
            }
            try allocate(perSecond: 1e14, seconds: 0.5, from: 1)
            #expect(try sampling().interval >= 1 << 30)
            take(1..<2)
            for second in 2..<30 { hr_pace_look(1 << 60 + UInt64(second) * 1_000_000_000) }
            #expect(try sampling().interval == 16_384)
            let before = try sampling().samplesTaken
            take(2..<10_000)
            #expect(try sampling().samplesTaken - before > 500)  // of 625
        }

        /// 1,200 samples a second are few, but not if each takes 8 µs.
        @Test func timeIsABudgetAsWell() throws {
            sample(perSecond: 1200, cost: 8000, seconds: 0.25, from: 1)
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
