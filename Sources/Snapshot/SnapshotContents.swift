public import HeapProfile

/// What a snapshot holds, or what is left of one that was cut short.
public struct SnapshotContents: Sendable, Equatable {
    public var process: ProcessState
    /// nil where the process ran without the probe, or that stage is missing.
    public var profile: HeapProfile?
    public var history: [MemoryPoint]
    public var alerts: [Alert]
    /// Entries of large collections, as the agent counted them; times since 1970.
    public var counts: [CollectionCounts]
    public var symbols: SymbolTable
    /// nil where nobody asked for it, or that stage is missing.
    public var heap: HeapSurvey?
    /// The writer did not finish, or the file was cut or damaged afterwards; `warnings` says what is missing.
    public var isPartial: Bool
    /// One line each, empty for a sound snapshot.
    public var warnings: [String]

    public init(
        process: ProcessState, profile: HeapProfile? = nil, history: [MemoryPoint] = [], alerts: [Alert] = [],
        counts: [CollectionCounts] = [], symbols: SymbolTable = SymbolTable(), heap: HeapSurvey? = nil,
        isPartial: Bool = false, warnings: [String] = []
    ) {
        self.process = process
        self.profile = profile
        self.history = history
        self.alerts = alerts
        self.counts = counts
        self.symbols = symbols
        self.heap = heap
        self.isPartial = isPartial
        self.warnings = warnings
    }
}

/// The process and its memory limit as they stood when the snapshot was taken. Sizes in bytes.
public struct ProcessState: Codable, Sendable, Equatable {
    public var name: String
    public var commandLine: String?
    public var pid: Int32
    /// Seconds since 1970.
    public var capturedAt: Double
    /// Why it was taken: "limit", "growth", "heap", "manual", "exit" or "killed".
    public var trigger: String
    /// It was killed at its cgroup's limit; nil where that does not apply.
    public var isOutOfMemory: Bool?
    public var residentBytes: UInt64
    public var anonymousBytes: UInt64
    public var threads: Int
    /// Open file descriptors, where they could be counted.
    public var descriptors: Int?
    /// The tightest limit, where it comes from, and how much of it is in use.
    public var limitBytes: UInt64?
    public var limitSource: String?
    public var usageBytes: UInt64?
    public var unreclaimableBytes: UInt64?
    public var cgroupPath: String?
    public var host: String
    /// Further figures by name.
    public var extra: [String: Double]

    public init(
        name: String, commandLine: String? = nil, pid: Int32, capturedAt: Double, trigger: String,
        residentBytes: UInt64 = 0, anonymousBytes: UInt64 = 0, threads: Int = 0, descriptors: Int? = nil,
        limitBytes: UInt64? = nil, limitSource: String? = nil, usageBytes: UInt64? = nil,
        unreclaimableBytes: UInt64? = nil, cgroupPath: String? = nil, host: String = "", extra: [String: Double] = [:]
    ) {
        self.name = name
        self.commandLine = commandLine
        self.pid = pid
        self.capturedAt = capturedAt
        self.trigger = trigger
        self.residentBytes = residentBytes
        self.anonymousBytes = anonymousBytes
        self.threads = threads
        self.descriptors = descriptors
        self.limitBytes = limitBytes
        self.limitSource = limitSource
        self.usageBytes = usageBytes
        self.unreclaimableBytes = unreclaimableBytes
        self.cgroupPath = cgroupPath
        self.host = host
        self.extra = extra
    }
}

/// One moment of the recorded memory history. Sizes in bytes.
public struct MemoryPoint: Codable, Sendable, Equatable {
    /// Seconds since 1970.
    public var time: Double
    public var residentBytes: UInt64
    public var anonymousBytes: UInt64
    /// Unreclaimable bytes of the cgroup whose limit counts.
    public var cgroupBytes: UInt64?
    /// Live bytes by the probe's estimate.
    public var heapLiveBytes: UInt64?

    public init(
        time: Double, residentBytes: UInt64, anonymousBytes: UInt64, cgroupBytes: UInt64? = nil,
        heapLiveBytes: UInt64? = nil
    ) {
        self.time = time
        self.residentBytes = residentBytes
        self.anonymousBytes = anonymousBytes
        self.cgroupBytes = cgroupBytes
        self.heapLiveBytes = heapLiveBytes
    }
}

/// What the agent has told people.
public struct Alert: Codable, Sendable, Equatable {
    /// Seconds since 1970.
    public var time: Double
    public var kind: String
    public var text: String

    public init(time: Double, kind: String, text: String) {
        self.time = time
        self.kind = kind
        self.text = text
    }
}
