import TimeSeries

/// The lowest point of each of the last windows of time: what a series over the whole life is too coarse for.
struct RecentTroughs: Sendable {
    private static let capacity = 128
    /// Seconds.
    let window: Double
    private(set) var points: [Point] = []

    init(window: Double) { self.window = window }

    /// Takes a point no earlier than those before it.
    mutating func add(_ point: Point) {
        if let last = points.last, (last.time / window).rounded(.down) == (point.time / window).rounded(.down) {
            if point.value < last.value { points[points.count - 1] = point }
        } else {
            points.append(point)
            if points.count > Self.capacity { points.removeFirst() }
        }
    }
}
