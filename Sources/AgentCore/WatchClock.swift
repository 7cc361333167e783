/// Turns any clock into one that never goes back; it begins with the first time it is given.
struct WatchClock: Sendable {
    private var last: Double?
    private var now = 0.0

    /// A step backwards, or a time that is no number, counts as no time at all.
    mutating func advance(to time: Double) -> Double {
        guard time.isFinite else { return now }
        now = last.map { now + max(0, time - $0) } ?? time
        last = time
        return now
    }
}
