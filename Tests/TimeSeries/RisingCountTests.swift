import TestSupport
import Testing
import TimeSeries

/// Counts of collections, one in five seconds.
@Suite struct RisingCountTests {
    private static func series(_ count: Int, _ value: (Double) -> Double) -> [Point] {
        (0..<count).map { Point(time: Double($0) * 5, value: value(Double($0) * 5).rounded()) }
    }

    /// As of a sample of collections that come and go: a few, each of which stands for a thousand entries.
    @Test func chanceDoesNotRise() {
        var rising = 0
        for seed in 1...2000 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let (most, share) = (Int.random(in: 2...20, using: &random), Double.random(in: 0.1...0.95, using: &random))
            let points = Self.series(32) { _ in
                1000 * Double((0..<most).count { _ in Double.random(in: 0..<1, using: &random) < share })
            }
            if risingCount(points) != nil { rising += 1 }
        }
        #expect(rising == 0)
    }

    /// The sample is taken anew now and then, and those in it are all there at first.
    @Test func aNewSampleIsNoRise() {
        var rising = 0
        for seed in 1...2000 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let points = Self.series(31) { time in
                let isNew = [0, 50, 150].contains(time)
                return 1000 * Double((0..<20).count { _ in isNew || Double.random(in: 0..<1, using: &random) < 0.75 })
            }
            if risingCount(points) != nil { rising += 1 }
        }
        #expect(rising == 0)
    }

    /// A walk by chance gets somewhere once in a hundred times; in a line it goes once in ten.
    @Test func aWalkDoesNotRise() {
        var rising = 0
        for seed in 1...4000 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            var value = 50_000.0
            let points = Self.series(32) { _ in
                value += 1000 * Double(Int.random(in: -3...3, using: &random))
                return value
            }
            if risingCount(points) != nil { rising += 1 }
        }
        #expect(rising < 80)
    }

    /// Tides whose period is nearly a multiple of the time between counts: the lowest counts drift.
    @Test func tidesDoNotRise() {
        var rising = 0
        for seed in 1...2000 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let period =
                5 * (Double(Int.random(in: 2...6, using: &random)) + Double.random(in: -0.1...0.1, using: &random))
            let phase = Double.random(in: 0..<1, using: &random)
            let points = Self.series(32) { time in
                let part = (time / period + phase).truncatingRemainder(dividingBy: 1)
                return 1000 + 4000 * (1 - abs(2 * part - 1))
            }
            if risingCount(points) != nil { rising += 1 }
        }
        #expect(rising == 0)
    }

    /// Counts of 1,000 lists of a service that leaks, by a sample of them: the pace of the sample changed by 1.5%.
    @Test func aKinkIsNoNewBeginning() {
        let counts: [Double] = [
            216596, 289378, 361872, 435069, 507134, 579099, 649360, 723043, 796225, 868648, 943105, 1_013_581,
            1_086_190,
            1_159_014, 1_230_492, 1_303_388, 1_375_825, 1_447_332, 1_521_130, 1_594_441, 1_666_163, 1_739_502,
            1_811_639,
            1_887_242, 1_959_579, 2_033_921, 2_108_006, 2_181_045, 2_254_771, 2_324_387,
        ]
        for length in 8...counts.count {
            let growth = risingCount(counts.prefix(length).enumerated().map { Point(time: Double($0) * 5, value: $1) })
            #expect(growth != nil && growth?.onset == nil, "\(length)")
        }
    }

    /// Entries come with a noise of as many as come in 15 seconds.
    @Test func whatRisesUnderNoiseDoes() throws {
        var missed = 0
        for seed in 1...500 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let rate = Double.random(in: 10...1000, using: &random)
            let points = Self.series(64) { 5000 + rate * ($0 + Double.random(in: -5...5, using: &random)) }
            guard let growth = risingCount(points), abs(growth.perSecond / rate - 1) < 0.1 else {
                missed += 1
                continue
            }
        }
        #expect(missed == 0)
    }
}
