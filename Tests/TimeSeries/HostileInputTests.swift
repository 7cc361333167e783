import TestSupport
import Testing
import TimeSeries

@Suite struct HostileInput {
    private static let insufficient = Growth(perSecond: 0, low: 0, high: 0, pattern: .insufficient)

    @Test func tooLittleIsInsufficient() {
        #expect(estimateGrowth([]) == Self.insufficient)
        #expect(estimateGrowth((0..<7).map { Point(time: Double($0), value: Double($0)) }) == Self.insufficient)
        #expect(estimateGrowth((0..<50).map { Point(time: 3, value: Double($0)) }) == Self.insufficient)
        #expect(timeToLimit([], limit: 5) == nil)
    }

    @Test(arguments: [8, 24, 256]) func equalValuesAreFlat(count: Int) {
        let growth = estimateGrowth((0..<count).map { Point(time: Double($0), value: 7e9) })
        #expect(growth.pattern == .flat)
        #expect(growth.perSecond == 0 && growth.low == 0 && growth.high == 0)
        #expect(timeToLimit((0..<count).map { Point(time: Double($0), value: 7e9) }, limit: 8e9) == nil)
    }

    @Test func whatIsNoNumberIsLeftOut() {
        let sound = (0..<30).map { Point(time: Double($0), value: 3 * Double($0)) }
        var series = sound
        for (index, value) in [Double.nan, .infinity, -.infinity, 1e300, -1e300].enumerated() {
            series.insert(Point(time: 5.5, value: value), at: 3 * index)
            series.insert(Point(time: value, value: 5), at: 4 * index)
        }
        #expect(estimateGrowth(series) == estimateGrowth(sound))
        #expect(timeToLimit(series, limit: 100) == timeToLimit(sound, limit: 100))
        #expect(estimateGrowth(sound, noise: .nan) == estimateGrowth(sound))
        #expect(estimateGrowth(sound, noise: .infinity) == estimateGrowth(sound))
        #expect(timeToLimit(sound, limit: .nan) == nil)
    }

    @Test func orderDoesNotMatter() {
        var random = SplitMix64(seed: 9)
        let series = (0..<40).map { Point(time: Double($0), value: 2 * Double($0 * $0 % 17) + Double($0)) }
        #expect(estimateGrowth(series.shuffled(using: &random)) == estimateGrowth(series))
    }

    /// Nothing traps and nothing but finite numbers comes out, whatever goes in.
    @Test func fuzz() {
        var random = SplitMix64(seed: 2026)
        let odd: [Double] = [
            0, -0.0, 1, -1, 1e-300, .leastNonzeroMagnitude, 1e14, -1e14, 9.9e29, -9.9e29, 1e30, 1e308, .nan, .infinity,
            -.infinity,
        ]
        func value() -> Double {
            switch UInt8.random(in: 0..<4, using: &random) {
            case 0: odd.randomElement(using: &random) ?? 0
            case 1: Double(bitPattern: random.next())
            case 2: Double(Int.random(in: 0...3, using: &random))
            default: Double.random(in: -1e12...1e12, using: &random)
            }
        }
        for _ in 0..<3000 {
            let count = Int.random(in: 0...40, using: &random)
            let isEven = Bool.random(using: &random)
            let series = (0..<count).map { Point(time: isEven ? Double($0) : value(), value: value()) }
            let growth = estimateGrowth(series, noise: value())
            let numbers = [growth.perSecond, growth.low, growth.high, growth.span, growth.fit, growth.onset ?? 0]
            #expect(numbers.allSatisfy { $0.isFinite }, "\(series)")
            #expect(growth.low <= growth.high && (0...1).contains(growth.fit))
            if let seconds = timeToLimit(series, limit: value()) { #expect(seconds.isFinite && seconds >= 0) }
            var troughs = TroughSeries(window: value(), capacity: Int.random(in: -2...8, using: &random))
            for point in series { troughs.add(point) }
            #expect(troughs.points.count <= troughs.capacity)
        }
    }
}
