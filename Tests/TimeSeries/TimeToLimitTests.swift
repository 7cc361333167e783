import TestSupport
import Testing

@testable import TimeSeries

@Suite struct TimeToLimitTests {
    /// Asked at half time when the baseline will be where it is in the end.
    @Test func isRightOnNoisyLeaks() {
        var errors: [Double] = []
        for seed in 5000..<5300 as Range<UInt64> {
            let series = SyntheticSeries(.leak, seed: seed)
            var troughs = TroughSeries(window: 15)
            for point in series.points.prefix(series.points.count / 2) { troughs.add(point) }
            let rest = SyntheticSeries.span / 2
            guard let seconds = timeToLimit(troughs.points, limit: series.baseline(SyntheticSeries.span)) else {
                continue
            }
            errors.append(abs(seconds - rest) / rest)
        }
        #expect(errors.count >= 297)
        errors.sort()
        #expect(median(sorted: errors) < 0.027)
        #expect(errors[errors.count * 9 / 10] < 0.075)
    }

    @Test func isExactOnALine() {
        let line = (0..<20).map { Point(time: Double($0), value: 100 + 5 * Double($0)) }
        #expect(timeToLimit(line, limit: 295).map { abs($0 - 20) < 1e-9 } == true)
        #expect(timeToLimit(Array(line.prefix(4)), limit: 165).map { abs($0 - 10) < 1e-9 } == true)
        #expect(timeToLimit(line, limit: 150) == 0)
    }

    @Test func isNilWhereNothingApproaches() {
        #expect(timeToLimit((0..<20).map { Point(time: Double($0), value: -Double($0)) }, limit: 5) == nil)
        #expect(timeToLimit((0..<20).map { Point(time: Double($0), value: Double($0 % 3)) }, limit: 5) == nil)
        #expect(timeToLimit((0..<3).map { Point(time: Double($0), value: Double($0)) }, limit: 5) == nil)
    }

    @Test func forgetsAWarmUp() {
        let warm = (0..<200).map { Point(time: Double($0), value: $0 < 60 ? 10 * Double($0) : 600) }
        #expect(timeToLimit(warm, limit: 1000) == nil)
    }
}
