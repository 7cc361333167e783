public import TimeSeries

/// What the agent's hands shall do.
public enum Effect: Sendable, Equatable {
    /// Write a snapshot at once, and answer with `captured` or `captureFailed`. Never asked for again before that.
    case capture(Trigger, Situation)
    /// Tell people. The path is of the newest snapshot, if there is one.
    case notify(EventKind, Situation, snapshot: String?)
    /// Look for large collections, whose entries can then be counted; answer with `surveyed`.
    case survey
    /// There is time and memory now to resolve the symbols of this snapshot.
    case symbolize(path: String)
    /// The process ended well: nobody will ask for its ledger.
    case discardLedger
    /// Another process took its place: what was remembered of the one before is no longer of use.
    case forget
}

/// Why a snapshot is taken. The raw value is what the snapshot file keeps.
public enum Trigger: String, Sendable, Codable {
    case limit, growth, manual, exit, killed
    /// For the heap's sake: while there still is the memory that reading it takes.
    case heap
}

/// What people can be told. The raw value names the event to hooks.
public enum EventKind: String, Sendable, Codable, CaseIterable {
    case growth, collection, snapshot, killed
}

/// The figures a decision rests on.
public struct Situation: Sendable, Equatable {
    public var trigger: Trigger?
    /// Bytes in use against the limit, or of the process alone where there is no limit.
    public var usedBytes: Double
    public var limitBytes: Double?
    /// By the baseline's growth, or else by the slope of the last ten seconds; of a snapshot that is early because memory
    /// rises steeply, by that of the last second.
    public var secondsToLimit: Double?
    public var growth: Growth?
    /// The cgroup's OOM killer was at work.
    public var isOutOfMemory: Bool
    /// The collection it is about.
    public var collection: RisingCount?
    /// The process it is about, where that may be another one of the service than the watched one.
    public var member: Int32?

    public init(
        trigger: Trigger? = nil, usedBytes: Double, limitBytes: Double? = nil, secondsToLimit: Double? = nil,
        growth: Growth? = nil, isOutOfMemory: Bool = false
    ) {
        self.trigger = trigger
        self.usedBytes = usedBytes
        self.limitBytes = limitBytes
        self.secondsToLimit = secondsToLimit
        self.growth = growth
        self.isOutOfMemory = isOutOfMemory
    }
}
