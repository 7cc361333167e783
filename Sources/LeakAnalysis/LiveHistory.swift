import HeapProfile
import TimeSeries

/// Live bytes of several sites together on one grid of times: their checkpoints, and the value now.
///
/// The only view in which a collection that grows by reallocation is seen to grow.
struct LiveHistory {
    /// At most 32, evenly spaced, the last one at `duration`. Empty where nothing is known.
    let points: [Point]
    private let duration: Double

    private static let maximumPoints = 32.0

    init(_ sites: [Site], duration: Double) {
        self.duration = duration
        // Sites that were not touched lately still have a shorter period; the longest is the time between values.
        let period = sites.lazy.filter { !$0.history.isEmpty }.map(\.historyPeriod).max() ?? 0
        guard period > 0, duration > period, duration < 1e12 else {
            points = []
            return
        }
        let count = Int(min(Self.maximumPoints, (duration / period).rounded(.down)))
        let step = duration / Double(count)
        points = (1...count).map { index in
            let time = Double(index) * step
            return Point(time: time, value: sites.reduce(0) { $0 + $1.live(at: time, duration: duration) })
        }
    }

    /// How they grow, the interval widened by what sampling adds.
    ///
    /// - Parameters:
    ///   - samplingError: standard deviation of the live bytes now.
    ///   - freedShare: of the bytes allocated, 0…1.
    func growth(samplingError: Double, freedShare: Double) -> Growth {
        // Where nothing is freed, the error grows with the value: half of the final one on average.
        var growth = estimateGrowth(points, noise: freedShare < 0.5 ? samplingError / 2 : samplingError)
        guard growth.pattern != .insufficient else { return growth }
        let span = max(duration - max(0, growth.onset ?? 0), duration / 4)
        // A sum of independent arrivals wanders: the error of its slope is that of its two ends.
        let error = 1.96 * samplingError * (1 + freedShare).squareRoot() / span
        growth.low = min(growth.low, growth.perSecond - error)
        growth.high = max(growth.high, growth.perSecond + error)
        if growth.pattern == .linear, growth.low <= 0 { growth.pattern = .flat }
        return growth
    }
}

extension Site {
    /// Live bytes at `time`, between checkpoints in a straight line.
    ///
    /// A checkpoint is written by the next touch after it: so nothing has changed since the last one that could have
    /// been written, and from there on the value is the one of now.
    fileprivate func live(at time: Double, duration: Double) -> Double {
        guard historyPeriod > 0, !history.isEmpty else { return time >= first ? live.bytes : 0 }
        let position = time / historyPeriod
        guard position < Double(history.count) else {
            let next = min(Double(history.count + 1) * historyPeriod, duration)
            let last = Double(history.count) * historyPeriod
            guard time < next, next > last else { return live.bytes }
            return between(Double(history[history.count - 1]), live.bytes, (time - last) / (next - last))
        }
        let index = Int(position)
        let before = index == 0 ? 0 : Double(history[index - 1])
        return between(before, Double(history[index]), position - Double(index))
    }
}

private func between(_ a: Double, _ b: Double, _ share: Double) -> Double { a + (b - a) * share }
