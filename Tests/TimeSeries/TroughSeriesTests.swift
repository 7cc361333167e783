import TestSupport
import Testing
import TimeSeries

@Suite struct TroughSeriesTests {
    @Test func keepsTheLowestOfEachWindow() {
        var series = TroughSeries(window: 10, capacity: 8)
        for (time, value) in [(0.0, 5.0), (3, 2), (9, 4), (10, 9), (12, 7), (25, 1)] {
            series.add(Point(time: time, value: value))
        }
        #expect(
            series.points == [Point(time: 3, value: 2), Point(time: 12, value: 7), Point(time: 25, value: 1)])
    }

    /// The oracle keeps everything and takes minima in the end.
    @Test(arguments: [2, 3, 16, 256]) func equalsMinimaOfTheFinalWindow(capacity: Int) {
        var random = SplitMix64(seed: UInt64(capacity))
        for _ in 0..<20 {
            var series = TroughSeries(window: 1, capacity: capacity)
            var all: [Point] = []
            var time = Double.random(in: -100...1e6, using: &random)
            for _ in 0..<1000 {
                time += Double.random(in: 0...3, using: &random)
                all.append(Point(time: time, value: Double.random(in: 0...1, using: &random)))
                series.add(all[all.count - 1])
            }
            let windows = Dictionary(grouping: all) { ($0.time / series.window).rounded(.down) }
            let minima = windows.compactMap { $1.min { $0.value < $1.value } }.sorted { $0.time < $1.time }
            #expect(series.points == minima)
            #expect(series.points.count <= capacity)
            #expect(capacity < 16 || series.points.count > capacity / 4)
        }
    }

    @Test func clockSetBackCountsForTheRunningWindow() {
        var series = TroughSeries(window: 1)
        series.add(Point(time: 100, value: 5))
        series.add(Point(time: 40, value: 3))
        series.add(Point(time: 50, value: 4))
        #expect(series.points == [Point(time: 100, value: 3)])
    }

    @Test func aCorrectionLeadsFromTheOneMomentToTheOther() {
        var series = TroughSeries()
        for time in stride(from: 0.0, through: 50, by: 10) { series.add(Point(time: time, value: 100)) }
        for (start, end, factor) in [(10.0, 40.0, .nan), (10, 10, 2), (40, 10, 2), (10, 40, -1), (10, 40, 0)] {
            series.correct(since: start, until: end, by: factor)
        }
        #expect(series.points.map(\.value) == [100, 100, 100, 100, 100, 100])
        series.correct(since: 10, until: 40, by: 1.6)
        #expect(series.points.map(\.value) == [100, 100, 120, 140, 160, 160])
    }

    @Test func badNumbersAreIgnored() {
        var series = TroughSeries(window: .nan, capacity: -5)
        for value in [Double.nan, .infinity, -.infinity, 1e300] {
            series.add(Point(time: value, value: 1))
            series.add(Point(time: 1, value: value))
        }
        #expect(series.points.isEmpty)
        #expect(series.window == 1 && series.capacity == 2)
    }
}
