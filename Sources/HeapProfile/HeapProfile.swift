/// What one process's heap looked like at one moment, as its allocation sites tell it.
///
/// The plain value that every room hands on: the ledger reader makes it, the snapshot keeps it,
/// the analysis judges it. It knows nothing of files, processes or symbols.
public struct HeapProfile: Sendable, Equatable {
    public var process: ProcessIdentity
    public var sampling: Sampling
    /// Time from the start of recording to this moment, or to that at which recording ended, in seconds.
    public var duration: Double
    public var modules: [Module]
    public var sites: [Site]
    /// Blocks sampled and still allocated, in no particular order.
    public var samples: ContiguousArray<LiveSample>
    /// One line for each thing that a damaged input could not give, empty for a sound one.
    public var warnings: [String]

    public init(
        process: ProcessIdentity, sampling: Sampling, duration: Double, modules: [Module] = [], sites: [Site] = [],
        samples: ContiguousArray<LiveSample> = [], warnings: [String] = []
    ) {
        self.process = process
        self.sampling = sampling
        self.duration = duration
        self.modules = modules
        self.sites = sites
        self.samples = samples
        self.warnings = warnings
    }
}

/// Which process a profile is of: a pid alone is reused, and a clock belongs to one boot.
public struct ProcessIdentity: Sendable, Equatable, Codable {
    public var pid: Int32
    /// Field 22 of /proc/PID/stat, in clock ticks since boot.
    public var startTicks: UInt64
    /// Lower-case hexadecimal, 32 digits.
    public var bootID: String
    /// When recording began, in seconds since 1970 and in nanoseconds of CLOCK_MONOTONIC.
    public var startTime: Double
    public var startMonotonic: UInt64
    /// The program ended by its own will. False as long as it runs, and after a kill.
    public var exited: Bool

    public init(
        pid: Int32, startTicks: UInt64 = 0, bootID: String = "", startTime: Double = 0, startMonotonic: UInt64 = 0,
        exited: Bool = false
    ) {
        self.pid = pid
        self.startTicks = startTicks
        self.bootID = bootID
        self.startTime = startTime
        self.startMonotonic = startMonotonic
        self.exited = exited
    }
}

/// How the profile was sampled, and the probe's account of what it left out and what it cost.
public struct Sampling: Sendable, Equatable, Codable {
    /// Mean bytes between two samples, at the start and now; 1 means every allocation.
    public var firstInterval: UInt64
    public var interval: UInt64
    public var thinnings: Int
    public var samplesTaken: UInt64 = 0
    public var samplesFreed: UInt64 = 0
    /// Samples that are in no estimate: there was no room for them, or no ledger yet.
    public var samplesDropped: UInt64 = 0
    public var samplesThinned: UInt64 = 0
    /// Samples whose stack was lost for lack of space.
    public var stacksLost: UInt64 = 0
    /// Stacks deeper than the probe keeps: their outermost frames are missing.
    public var stacksCut: UInt64 = 0
    public var stacksFailed: UInt64 = 0
    public var modulesDropped: UInt64 = 0
    public var historySkipped: UInt64 = 0
    /// The sampled path inside the process: calls, seconds in all, seconds of the longest.
    public var slowPathCount: UInt64 = 0
    public var slowPathSeconds: Double = 0
    public var slowPathWorstSeconds: Double = 0
    /// Calls of the sampled path by cost: [0] below 2^7 ns, [i] below 2^(7+i) ns, the last one beyond. Empty or 20.
    public var slowPathOctaves: [UInt64] = []
    /// The interval at its widest, and how often it doubled to keep the budget of samples a second; `stalled` of these
    /// because samples of over 10 µs took 1% of a core.
    public var widestInterval: UInt64 = 1
    public var paced: UInt64 = 0
    public var stalled: UInt64 = 0
    /// Samples that were due while the probe was told to pause: in no estimate.
    public var samplesPaused: UInt64 = 0
    /// Seconds after the start of recording at which the probe was told to pause; nil while it takes samples.
    public var pausedAt: Double?
    public var isPaused: Bool { pausedAt != nil }
    /// The probe came into a program that had run before, and was made inert while it ran on: the profile is of the
    /// time between.
    public var isAttached = false
    public var isDetached = false
    /// Private memory that the probe holds besides the ledger, in bytes.
    public var memoryBytes: UInt64 = 0
    public var ledgerBytes: UInt64 = 0
    public var hasUnwinder = true

    public init(firstInterval: UInt64, interval: UInt64, thinnings: Int = 0) {
        self.firstInterval = firstInterval
        self.interval = interval
        self.thinnings = thinnings
    }

    public var isExact: Bool { firstInterval == 1 && thinnings == 0 && widestInterval <= 1 }
}

/// A file mapped with code.
public struct Module: Sendable, Hashable, Codable {
    public var path: String
    /// Lower-case hexadecimal, empty where the file has none.
    public var buildID: String
    /// Mapped range at the time, and what to subtract from an address in memory for the address in the file.
    public var start: UInt64
    public var end: UInt64
    public var bias: UInt64

    public init(path: String, buildID: String = "", start: UInt64 = 0, end: UInt64 = 0, bias: UInt64 = 0) {
        self.path = path
        self.buildID = buildID
        self.start = start
        self.end = end
        self.bias = bias
    }
}

/// A return address, made independent of where its module was mapped.
public struct CodeAddress: Sendable, Hashable, Codable {
    /// Index into `HeapProfile.modules`, or −1: then `offset` is the address in memory.
    public var module: Int32
    /// Address as the module's ELF file numbers it. The call is the instruction before it.
    public var offset: UInt64

    public init(module: Int32, offset: UInt64) {
        self.module = module
        self.offset = offset
    }
}

/// Weighted sums over samples: unbiased for blocks and bytes.
public struct Estimate: Sendable, Equatable, Codable {
    public var bytes: Double
    public var count: Double
    /// Samples the sums rest on.
    public var samples: UInt64
    /// Variance of `bytes`, in bytes squared, as sampling brings it; 0 in an exact profile.
    public var variance: Double

    public init(bytes: Double = 0, count: Double = 0, samples: UInt64 = 0, variance: Double = 0) {
        self.bytes = bytes
        self.count = count
        self.samples = samples
        self.variance = variance
    }

    /// Standard error of `bytes`.
    public var error: Double { variance > 0 ? variance.squareRoot() : 0 }
}

/// One distinct allocation stack and all that happened there.
public struct Site: Sendable, Equatable {
    /// Innermost (the allocator's caller) first. Empty where the stack was lost.
    public var stack: [CodeAddress]
    /// The outermost frames are missing.
    public var isCut: Bool
    public var allocated: Estimate
    public var freed: Estimate
    /// Summed from the live samples, which is more exact than `allocated` − `freed`.
    public var live: Estimate
    /// First and latest sampled allocation, in seconds since the start of recording.
    public var first: Double
    public var last: Double
    /// Live bytes at (i + 1) × `historyPeriod` seconds since the start of recording. Between 0 and 32 values.
    public var historyPeriod: Double
    public var history: [Float]
    /// Freed samples by age at death: [0] below 2^20 ns, [i] below 2^(20+i) ns. 32 values.
    public var lifetimes: [UInt32]

    public init(
        stack: [CodeAddress], isCut: Bool = false, allocated: Estimate = Estimate(), freed: Estimate = Estimate(),
        live: Estimate = Estimate(), first: Double = 0, last: Double = 0, historyPeriod: Double = 0.25,
        history: [Float] = [], lifetimes: [UInt32] = Array(repeating: 0, count: 32)
    ) {
        self.stack = stack
        self.isCut = isCut
        self.allocated = allocated
        self.freed = freed
        self.live = live
        self.first = first
        self.last = last
        self.historyPeriod = historyPeriod
        self.history = history
        self.lifetimes = lifetimes
    }
}

/// A sampled block that was still allocated.
public struct LiveSample: Sendable, Equatable {
    /// Requested size in bytes.
    public var size: UInt64
    /// Seconds since the start of recording.
    public var birth: Double
    /// Blocks of this kind that the sample stands for, ≥ 1.
    public var weight: Float
    /// Index into `HeapProfile.sites`.
    public var site: Int32
    /// Kernel thread id of the allocating thread.
    public var thread: Int32
    /// Where it is in the process; 0 in a snapshot, which does not keep it.
    public var address: UInt64

    public init(size: UInt64, birth: Double, weight: Float, site: Int32, thread: Int32 = 0, address: UInt64 = 0) {
        self.size = size
        self.birth = birth
        self.weight = weight
        self.site = site
        self.thread = thread
        self.address = address
    }

    public var bytes: Double { Double(size) * Double(weight) }

    /// What this sample adds to the variance of a sum: each block of s bytes was seen with probability 1/w, and so w·s
    /// carries the variance (w·s)² (1 − 1/w) (Horvitz and Thompson, JASA 47, 1952). 0 when exact.
    public var variance: Double {
        let weight = max(1, Double(weight))
        return bytes * bytes * (1 - 1 / weight)
    }
}
