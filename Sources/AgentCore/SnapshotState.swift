/// Which snapshots were taken, and whether another one would tell more.
struct SnapshotState: Sendable {
    private(set) var newest: String?
    /// What the one that is being taken is taken for; memory may have fallen before it is written.
    private var running: Situation?
    /// Why those that there are were taken.
    private var reasons: Set<Trigger> = []
    private var unresolved: String?
    private var lastBegin = -Double.infinity
    private var retryAt = -Double.infinity
    /// In seconds, after the next failure; each in a row doubles it.
    private var pause = Self.firstPause
    private static let firstPause = 5.0
    /// At the latest snapshot for the limit's sake.
    private var nearest: Occupancy?
    private var hasReceded = false
    private var highestLimit = 0.0

    var isRunning: Bool { running != nil }

    /// The last one could not be written.
    private(set) var hasFailed = false

    func has(_ trigger: Trigger) -> Bool { running?.trigger == trigger || reasons.contains(trigger) }

    /// One was taken or is being taken that was not for the heap's sake alone.
    var hasAny: Bool { !reasons.union((running?.trigger).map { [$0] } ?? []).isSubset(of: [.heap]) }

    /// One at a time, and after a failure (a full disk, say) not again at once.
    func isReady(_ now: Double) -> Bool { running == nil && now >= retryAt && now - lastBegin >= 0.2 }

    /// An approach to the limit is new if memory fell in between and the cool-down is over. Without that, only half of
    /// the headroom left last time is closer, and from 95% on nothing is.
    func isCloser(_ occupancy: Occupancy, _ now: Double, cooldown: Double) -> Bool {
        guard let nearest else { return true }
        let isNew = hasReceded && now - lastBegin >= cooldown
        return isNew || nearest.share < Self.lastShare && occupancy.headroom < nearest.headroom / 2
    }

    /// However near the limit comes now, no further snapshot is taken for its sake.
    var isLastBeforeLimit: Bool { !hasReceded && (nearest?.share ?? 0) >= Self.lastShare }

    private static let lastShare = 0.95

    mutating func see(_ occupancy: Occupancy) {
        if occupancy.limit > highestLimit * 1.1 {
            // What was near an old limit tells nothing of a higher one; of two that take turns only once.
            (nearest, hasReceded, highestLimit) = (nil, false, occupancy.limit)
        }
        if let nearest, occupancy.headroom > nearest.headroom * 1.5 { hasReceded = true }
    }

    mutating func begin(_ situation: Situation, at occupancy: Occupancy?, _ now: Double) {
        running = situation
        lastBegin = now
        guard situation.trigger == .limit else { return }
        nearest = occupancy
        hasReceded = false
    }

    /// One that was not asked for here.
    mutating func add(_ path: String) {
        newest = path
        reasons.insert(.killed)
    }

    mutating func finish(_ path: String) -> Situation? {
        defer { running = nil }
        pause = Self.firstPause
        hasFailed = false
        newest = path
        unresolved = path
        if let trigger = running?.trigger { reasons.insert(trigger) }
        return running
    }

    mutating func fail(_ now: Double, longestPause: Double) -> Situation? {
        defer { running = nil }
        hasFailed = true
        nearest = nil
        retryAt = now + pause
        pause = max(pause, min(pause * 2, longestPause))
        return running
    }

    /// Only the newest is worth the time; `analyze` resolves the symbols of an older one when it is opened.
    mutating func takeUnresolved() -> String? {
        defer { unresolved = nil }
        return unresolved
    }
}
