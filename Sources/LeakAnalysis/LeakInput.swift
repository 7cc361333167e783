public import HeapProfile
public import TimeSeries

/// All that the analysis may look at. Either of profile and memory history is enough; with both it is surer.
public struct LeakInput: Sendable {
    public var profile: HeapProfile?
    public var symbols: SymbolTable
    /// What the heap itself tells, where it was read.
    public var heap: HeapSurvey?
    /// An earlier look at the heap of the same process.
    public var earlier: EarlierSurvey?
    /// Counts of large collections, as the agent took them; times as in `memory`.
    public var counts: [CollectionCounts]
    /// Bytes of the process or its cgroup over time, in seconds since the start of recording, or any other origin.
    public var memory: [Point]
    /// What is charged against the limit now, and the limit, in bytes.
    public var usageBytes: Double?
    public var limitBytes: Double?
    public var processName: String?
    /// How the process ended; nil while it runs.
    public var ending: Ending?
    public var options: AnalysisOptions

    public init(
        profile: HeapProfile?, symbols: SymbolTable = SymbolTable(), heap: HeapSurvey? = nil,
        earlier: EarlierSurvey? = nil, counts: [CollectionCounts] = [], memory: [Point] = [],
        usageBytes: Double? = nil,
        limitBytes: Double? = nil, processName: String? = nil, ending: Ending? = nil, options: AnalysisOptions = .init()
    ) {
        self.profile = profile
        self.symbols = symbols
        self.heap = heap
        self.earlier = earlier
        self.counts = counts
        self.memory = memory
        self.usageBytes = usageBytes
        self.limitBytes = limitBytes
        self.processName = processName
        self.ending = ending
        self.options = options
    }
}

/// How a process came to its end.
public enum Ending: String, Sendable, Codable {
    case exited, killed
    /// By the kernel, at its cgroup's limit.
    case outOfMemory
    /// Killed, or by `_exit`, or it became another program by exec: all that is known is that its ledger was not closed.
    case unfinished
}

/// How much of what was found goes into the report.
public struct AnalysisOptions: Sendable, Equatable {
    /// Suspects below this confidence are left out, and suspects beyond this number.
    public var minimumConfidence = 0.1
    public var maximumSuspects = 5
    /// The largest healthy sites that are explained.
    public var maximumHealthy = 5
    /// Keep allocator, container and runtime frames in the suspects' stacks.
    public var showsFoldedFrames = false

    public init() {}
}
