/// What the estimates rest on.
public struct SamplingSummary: Sendable, Codable, Equatable {
    /// Mean bytes between samples; 1 is every allocation.
    public var interval: Double
    public var isExact: Bool
    public var liveSamples: Int
    public var sites: Int
    public var liveBytes: Double
    public var allocatedBytes: Double
    public var freedBytes: Double
    /// Standard errors of the bytes above; 0 when exact.
    public var liveBytesError: Double
    public var allocatedBytesError: Double
    public var freedBytesError: Double
    /// Share of the observed time that the probe spent in its sampled path.
    public var probeTimeShare: Double
    public var probe = ProbeAccount()

    package init(
        interval: Double, isExact: Bool = false, liveSamples: Int, sites: Int, liveBytes: Double,
        allocatedBytes: Double, freedBytes: Double, liveBytesError: Double = 0, allocatedBytesError: Double = 0,
        freedBytesError: Double = 0, probeTimeShare: Double = 0, probe: ProbeAccount = ProbeAccount()
    ) {
        self.liveBytesError = liveBytesError
        self.allocatedBytesError = allocatedBytesError
        self.freedBytesError = freedBytesError
        self.probe = probe
        self.interval = interval
        self.isExact = isExact
        self.liveSamples = liveSamples
        self.sites = sites
        self.liveBytes = liveBytes
        self.allocatedBytes = allocatedBytes
        self.freedBytes = freedBytes
        self.probeTimeShare = probeTimeShare
    }
}

/// The probe's account of itself: what it did, what it cost, and what it left out.
public struct ProbeAccount: Sendable, Codable, Equatable {
    public var samplesTaken: UInt64 = 0
    public var samplesFreed: UInt64 = 0
    public var samplesThinned: UInt64 = 0
    /// In no estimate: for lack of a slot, or because the probe was told to pause.
    public var samplesDropped: UInt64 = 0
    public var samplesPaused: UInt64 = 0
    public var stacksCut: UInt64 = 0
    public var stacksFailed: UInt64 = 0
    public var stacksLost: UInt64 = 0
    /// The widest interval so far, in bytes, and how often it doubled to keep the budget of samples a second; `stalled`
    /// of these because samples had become slow.
    public var widestInterval: Double = 0
    public var paced: UInt64 = 0
    public var stalled: UInt64 = 0
    /// Seconds a sample took: on average, 99 of 100 at most (to a factor of two), and at most.
    public var meanSeconds: Double = 0
    public var p99Seconds: Double = 0
    public var worstSeconds: Double = 0
    /// Private memory of the probe, and the ledger that is mapped into the process.
    public var memoryBytes: UInt64 = 0
    public var ledgerBytes: UInt64 = 0
    /// As in the profile: recording stopped for now, began in a running program, ended in one.
    public var isPaused = false
    public var isAttached = false
    public var isDetached = false

    package init() {}
}
