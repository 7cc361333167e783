/// What the agent is told to care about. Sizes in bytes, times in seconds.
public struct Policy: Sendable, Equatable {
    /// Limit to judge by where the cgroup gives none, or a looser one. It is not enforced.
    public var memoryLimit: Double?
    /// Share of the limit from which a rising process is snapshotted.
    public var level: Double = 0.8
    /// A process predicted to reach its limit sooner than this is snapshotted, once it is past `earlyLevel`.
    /// A table loaded at start-up also rises steeply; below that share it is nobody's concern.
    public var leadTime: Double = 5
    public var earlyLevel: Double = 0.5
    /// Between two approaches to the limit that are worth a snapshot each: a healthy service's sawtooth may well come
    /// near its limit every few minutes.
    public var snapshotCooldown: Double = 3600
    /// Between two notifications of one kind.
    public var alertCooldown: Double = 900
    /// Share of the limit that steady growth must have used up before it is reported …
    public var materialShare: Double = 0.02
    /// … and the bytes it must have added where there is no limit.
    public var materialBytes: Double = 32 * 1_048_576
    /// Bytes that a process must have grown by, steadily, to be snapshotted when it ends.
    public var leastGrowth: Double = 2 * 1_048_576
    /// Shortest observation in which steady growth is suspected; it is reported when it lasted twice as long.
    public var growthSpan: Double = 30
    /// Share of the limit at which a rising process is snapshotted once to read its heap; nil: not at all. Nearer to the
    /// limit there would not be the memory for it.
    public var heapLevel: Double?
    /// Find large collections in the heap, and count their entries.
    public var countsCollections = false
    /// Take a snapshot of an end that was asked for also where nothing grew.
    public var snapshotsAtExit = false

    public init(memoryLimit: Double? = nil) { self.memoryLimit = memoryLimit }
}
