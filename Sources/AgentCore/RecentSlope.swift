import TimeSeries

/// The slope of the last seconds, or of the last three readings where they are further apart.
///
/// The baseline's robust slope needs many troughs; a process that fills its cgroup within a second leaves time for none.
struct RecentSlope: Sendable {
    private static let capacity = 64
    private let window: Double
    private var points: [Point] = []

    init(window: Double) {
        self.window = window
        points.reserveCapacity(Self.capacity + 1)
    }

    mutating func add(time: Double, value: Double) {
        // After a pause (a suspended machine, a stopped agent) the old slope says nothing.
        if let last = points.last, time - last.time > 5 { points.removeAll(keepingCapacity: true) }
        points.append(Point(time: time, value: value))
        while points.count > Self.capacity || points.count > 3 && time - points[0].time > window {
            points.removeFirst()
        }
    }

    mutating func reset() { points.removeAll(keepingCapacity: true) }

    /// Bytes per second; nil before there is enough to tell.
    var perSecond: Double? {
        guard points.count >= 2, let first = points.first, let last = points.last, last.time - first.time >= 0.03
        else { return nil }
        return (last.value - first.value) / (last.time - first.time)
    }
}
