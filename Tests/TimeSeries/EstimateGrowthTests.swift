import Glibc
import TestSupport
import Testing

@testable import TimeSeries

/// Alarm rates of the whole detector over 300 series a class.
@Suite struct AlarmRates {
    /// Share of 300 six-hour series called `linear` at more than 10 MB/h for sure.
    private func alarms(_ trend: SyntheticSeries.Trend) -> Double {
        let alarms = (0..<300 as Range<UInt64>).count { seed in
            let growth = estimateGrowth(SyntheticSeries(trend, seed: seed &* 7919 &+ 13).troughs)
            return growth.pattern == .linear && growth.low > 10.0 / 3600
        }
        return Double(alarms) / 300
    }

    @Test(arguments: [
        (SyntheticSeries.Trend.flat, 0.03), (.warmUp, 0.01), (.step, 0.01), (.logarithm, 0.01),
    ])
    func falseAlarms(trend: SyntheticSeries.Trend, limit: Double) { #expect(alarms(trend) <= limit) }

    @Test(arguments: [(SyntheticSeries.Trend.leak, 0.99), (.slowLeak, 0.9)])
    func detection(trend: SyntheticSeries.Trend, minimum: Double) { #expect(alarms(trend) >= minimum) }
}

@Suite struct Shapes {
    /// Patterns found in 100 noisy series of each shape, 60 points a second apart.
    private func patterns(
        points: Int = 60, noise: Double = 1, _ shape: (inout SplitMix64) -> (Double) -> Double
    ) -> [GrowthPattern: Int] {
        (0..<100 as Range<UInt64>).reduce(into: [:]) { counts, seed in
            var random = SplitMix64(seed: seed &* 31337 &+ 5)
            let curve = shape(&random)
            let series = (0..<points).map { index in
                Point(time: Double(index), value: 100 + curve(Double(index)) + noise * gaussian(&random))
            }
            counts[estimateGrowth(series).pattern, default: 0] += 1
        }
    }

    @Test func cacheThatFillsSaturates() {
        let found = patterns { random in
            let height = Double.random(in: 20...100, using: &random)
            let full = Double.random(in: 8...45, using: &random)
            return { height * min(1, $0 / full) }
        }
        #expect(found[.linear, default: 0] <= 4)
        #expect(found[.saturating, default: 0] >= 95)
    }

    @Test func queueThatDrainsIsFlat() {
        let found = patterns { random in
            let middle = Double.random(in: 20...30, using: &random)
            return { max(0, 80 - 8 * abs($0 - middle)) }
        }
        #expect(found == [.flat: 100])
    }

    @Test func freedMemoryShrinks() {
        #expect(patterns { _ in { -$0 } } == [.shrinking: 100])
        #expect(patterns { _ in { $0 < 30 ? 40 : 0 } } == [.shrinking: 100])
    }

    @Test func leakUnderACacheThatFillsIsLinear() {
        let found = patterns { random in
            let (slope, full) = (Double.random(in: 1...3, using: &random), Double.random(in: 9...25, using: &random))
            return { slope * $0 + 60 * min(1, $0 / full) }
        }
        #expect(found[.linear, default: 0] >= 95)
    }
}

@Suite struct Slopes {
    private struct Tally {
        var covered = 0
        var linear = 0
        var errors: [Double] = []
    }

    /// 200 leaks of slope 1 with standard normal noise of the given autocorrelation.
    private func tally(points: Int, correlation: Double) -> Tally {
        (0..<200 as Range<UInt64>).reduce(into: Tally()) { tally, seed in
            var random = SplitMix64(seed: seed &* 104_729 &+ 7)
            var noise = gaussian(&random)
            let series = (0..<points).map { index in
                noise = correlation * noise + (1 - correlation * correlation).squareRoot() * gaussian(&random)
                return Point(time: Double(index), value: Double(index) + noise)
            }
            let growth = estimateGrowth(series)
            if growth.low <= 1 && 1 <= growth.high { tally.covered += 1 }
            if growth.pattern == .linear { tally.linear += 1 }
            tally.errors.append(abs(growth.perSecond - 1))
        }
    }

    @Test(arguments: [8, 12, 16, 24, 32, 64, 256]) func intervalCoversWithWhiteNoise(points: Int) {
        let tally = tally(points: points, correlation: 0)
        #expect(tally.covered > 180, "90%, the pattern's choice included")
        #expect(tally.linear >= (points < 12 ? 160 : 180))
        #expect(median(sorted: tally.errors.sorted()) < 1.5 / Double(points))
    }

    @Test(arguments: [(24, 160), (64, 172), (256, 180)]) func intervalAllowsForMemory(points: Int, minimum: Int) {
        #expect(tally(points: points, correlation: 0.5).covered >= minimum)
    }

    @Test func slopeOfASteadyLeakIsExact() {
        let growth = estimateGrowth((0..<60).map { Point(time: 1e9 + Double($0), value: 5e9 + 2e6 * Double($0)) })
        #expect(growth.pattern == .linear)
        #expect(growth.onset == nil)
        #expect(growth.span == 59)
        #expect(abs(growth.perSecond - 2e6) < 1)
        #expect(growth.low <= growth.perSecond && growth.perSecond <= growth.high)
        #expect(growth.fit > 0.999)
    }

    @Test func aFewWildValuesDoNotMoveIt() {
        var series = (0..<30).map { Point(time: Double($0), value: 10 * Double($0)) }
        for index in [4, 11, 19] { series[index].value += 5000 }
        let line = TheilSen(series)
        #expect(abs((line?.slope ?? 0) - 10) < 0.01)
    }

    /// The oracle is the definition: all pairs, sorted, the middle one.
    @Test func theilSenEqualsItsDefinition() {
        var random = SplitMix64(seed: 42)
        for _ in 0..<100 {
            let points = (0..<Int.random(in: 2...12, using: &random)).map {
                Point(time: Double($0 * $0), value: Double.random(in: -5...5, using: &random))
            }
            var slopes: [Double] = []
            for i in points.indices {
                for j in points.indices where j > i {
                    slopes.append((points[j].value - points[i].value) / (points[j].time - points[i].time))
                }
            }
            slopes.sort()
            let middle = (slopes[(slopes.count - 1) / 2] + slopes[slopes.count / 2]) / 2
            #expect(abs((TheilSen(points)?.slope ?? .nan) - middle) < 1e-12)
        }
    }
}

@Suite struct Onsets {
    @Test func startOfALateLeakIsFound() {
        var errors: [Double] = []
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed &+ 900)
            let onset = Double.random(in: 40...140, using: &random)
            let slope = Double.random(in: 0.5...2, using: &random)
            let growth = estimateGrowth(
                (0..<200).map {
                    Point(time: Double($0), value: 50 + slope * max(0, Double($0) - onset) + gaussian(&random))
                })
            guard growth.pattern == .linear, let found = growth.onset else { continue }
            errors.append(abs(found - onset))
            #expect(abs(growth.perSecond - slope) < 0.15 * slope)
        }
        #expect(errors.count >= 190)
        errors.sort()
        #expect(median(sorted: errors) < 4)
        #expect(errors[errors.count * 9 / 10] < 10)
    }

    @Test func startUpDataIsCutOff() {
        let series = (0..<60).map { Point(time: Double($0), value: ($0 < 6 ? 0 : 300) + 2 * Double($0)) }
        let growth = estimateGrowth(series)
        #expect(growth.pattern == .linear)
        #expect(abs((growth.onset ?? 0) - 6) <= 2)
        #expect(abs(growth.perSecond - 2) < 0.01)
    }

    /// A program that holds 20 MiB for 8 seconds and frees them in the last half of one did not shrink by 20 MiB a second.
    @Test(arguments: 1...3) func aHeapThatIsTakenDownHasNoSlope(last: Int) {
        let growth = estimateGrowth(
            (0..<32).map { Point(time: Double($0) / 4, value: $0 < 32 - last ? 20 : 5 / Double($0 - 31 + last)) })
        #expect(abs(growth.perSecond) < 1, "\(growth)")
    }

    @Test func aStepHasTheTimeOfItsNewLevel() {
        let growth = estimateGrowth((0..<48).map { Point(time: Double($0), value: $0 < 30 ? 100 : 180) })
        #expect(growth.pattern == .step)
        #expect(abs((growth.onset ?? 0) - 29.5) < 2)
        #expect(growth.perSecond == 0)
    }
}

/// What a site's own history looks like: 8–32 values that rest on some number of samples.
@Suite struct SampledSeries {
    private func patterns(
        points: Int, samples: Double, _ values: (inout SplitMix64) -> [Double]
    ) -> [GrowthPattern: Int] {
        (0..<200 as Range<UInt64>).reduce(into: [:]) { counts, seed in
            var random = SplitMix64(seed: seed &* 271 &+ 3)
            let series = values(&random).enumerated().map { Point(time: Double($0.offset), value: $0.element) }
            counts[estimateGrowth(series, noise: samples.squareRoot()).pattern, default: 0] += 1
        }
    }

    @Test(arguments: [8, 16, 32], [100.0, 450]) func sampledLeakIsLinear(points: Int, samples: Double) {
        let found = patterns(points: points, samples: samples) { random in
            var live = 0.0
            return (0..<points).map { _ in
                live += poisson(samples / Double(points), &random)
                return live
            }
        }
        #expect(found[.linear, default: 0] >= 185)
    }

    @Test(arguments: [8, 16, 32], [10.0, 100]) func sampledTrafficIsFlat(points: Int, samples: Double) {
        let found = patterns(points: points, samples: samples) { random in
            (0..<points).map { _ in poisson(samples, &random) }
        }
        #expect(found[.linear, default: 0] <= 3)
        #expect(found[.flat, default: 0] >= 190)
    }

    @Test func knownNoiseWidensAChanceAgreement() {
        let series = (0..<8).map { Point(time: Double($0), value: 100 + Double($0)) }
        #expect(estimateGrowth(series).pattern == .linear)
        let sampled = estimateGrowth(series, noise: 10)
        #expect(sampled.pattern == .flat)
        #expect(sampled.low < 0 && sampled.high > 1)
    }

    private func poisson(_ mean: Double, _ random: inout SplitMix64) -> Double {
        var (count, time) = (-1.0, 0.0)
        while time < mean {
            count += 1
            time -= log(Double.random(in: Double.leastNonzeroMagnitude...1, using: &random))
        }
        return count
    }
}
