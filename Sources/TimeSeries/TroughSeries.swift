/// A series of any length in bounded memory: the lowest point of each window of time.
///
/// When it is full the window doubles and neighbours merge, the lower one staying, so that it always reaches back to
/// the first point. Adding costs O(1) amortised; memory is 16 bytes × `capacity`.
public struct TroughSeries: Sendable, Equatable, Codable {
    /// Seconds that one trough stands for; doubles as the series grows.
    public private(set) var window: Double
    public let capacity: Int
    /// In order of time, at most one in each window; the last one's window is still running.
    public private(set) var points: [Point] = []

    /// - Parameters:
    ///   - window: seconds, at the start. What is not a positive number counts as 1.
    ///   - capacity: points kept, at least 2.
    public init(window: Double = 1, capacity: Int = 256) {
        self.window = window > 0 && window.isFinite ? window : 1
        self.capacity = max(2, capacity)
    }

    /// Takes a point no earlier than those before it. One that is earlier counts for the running window, as after a
    /// clock was set back; one that is not a number is ignored.
    public mutating func add(_ point: Point) {
        guard point.isUsable else { return }
        guard let last = points.last, index(of: point) <= index(of: last) else {
            points.append(point)
            while points.count > capacity { widen() }
            return
        }
        guard point.value < last.value else { return }
        points[points.count - 1] = Point(time: max(point.time, last.time), value: point.value)
    }

    /// It has turned out that the series is off by `factor` at `end`, and was right at `start`: the points between are
    /// corrected by what leads in a line from the one to the other. Nothing is where that cannot be.
    public mutating func correct(since start: Double, until end: Double, by factor: Double) {
        guard factor > 0, factor.isFinite, end > start else { return }
        for i in points.indices where points[i].time > start {
            points[i].value *= 1 + (factor - 1) * min(1, (points[i].time - start) / (end - start))
        }
    }

    /// Windows start at multiples of their length, so that two neighbours make one of double length exactly.
    private func index(of point: Point) -> Double { (point.time / window).rounded(.down) }

    private mutating func widen() {
        window *= 2
        var merged: [Point] = []
        merged.reserveCapacity(capacity)
        for point in points {
            if let last = merged.last, index(of: last) == index(of: point) {
                if point.value < last.value { merged[merged.count - 1] = point }
            } else {
                merged.append(point)
            }
        }
        points = merged
    }
}
