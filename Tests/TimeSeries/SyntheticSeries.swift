import Glibc
import TestSupport
import TimeSeries

/// Memory of a service over six hours, one value in 15 s, in MB and seconds.
///
/// A level, a sawtooth of 50–600 MB with a period of 1–15 minutes, noise with memory, spikes, and one trend.
struct SyntheticSeries {
    enum Trend: CaseIterable { case flat, warmUp, step, logarithm, leak, slowLeak }

    static let span = 6 * 3600.0
    var points: [Point] = []
    /// MB per second, of leaks.
    var slope = 0.0
    var baseline: (Double) -> Double

    init(_ trend: Trend, seed: UInt64, span: Double = Self.span) {
        var random = SplitMix64(seed: seed)
        func pick(_ range: ClosedRange<Double>) -> Double { Double.random(in: range, using: &random) }
        let level = pick(300...2000)
        let slope: Double
        switch trend {
        case .flat:
            slope = 0
            baseline = { _ in level }
        case .warmUp:
            slope = 0
            let (height, time) = (pick(200...1500), pick(600...3600))
            baseline = { level + height * (1 - exp(-$0 / time)) }
        case .step:
            slope = 0
            let (height, time) = (pick(100...800), pick(3600...5 * 3600))
            baseline = { level + ($0 < time ? 0 : height) }
        case .logarithm:
            slope = 0
            let (height, time) = (pick(50...400), pick(60...1800))
            baseline = { level + height * log(1 + $0 / time) }
        case .leak, .slowLeak:
            slope = (trend == .leak ? pick(50...1000) : pick(20...60)) / 3600
            baseline = { level + slope * $0 }
        }
        self.slope = slope
        let (tooth, period, phase) = (pick(50...600), pick(60...900), pick(0...1))
        var noise = 0.0
        let deviation = pick(2...20)
        for index in 0..<Int(span / 15) {
            let time = Double(index) * 15
            noise = 0.9 * noise + gaussian(&random) * deviation * 0.436
            let spike = pick(0...1) < 0.01 ? pick(100...800) : 0
            let phase = (time / period + phase).truncatingRemainder(dividingBy: 1)
            points.append(Point(time: time, value: baseline(time) + tooth * phase + noise + spike))
        }
    }

    /// As an agent keeps it.
    var troughs: [Point] {
        var series = TroughSeries(window: 15)
        for point in points { series.add(point) }
        return series.points
    }
}

/// A standard normal value (Box and Muller).
func gaussian(_ random: inout SplitMix64) -> Double {
    let radius = (-2 * log(Double.random(in: Double.leastNonzeroMagnitude...1, using: &random))).squareRoot()
    return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
}
