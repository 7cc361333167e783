/// Turns any clock into one that never goes back.
struct WatchClock: Sendable {
    private var last: Double?
    private var now = 0.0

    /// A step backwards, or a time that is no number, counts as no time at all.
    mutating func advance(to time: Double) -> Double {
        guard time.isFinite else { return now }
        if let last { now += max(0, time - last) }
        last = time
        return now
    }
}
