public import HeapProfile
public import TimeSeries

/// What the analysis found. Every number is finite.
public struct LeakReport: Sendable, Codable, Equatable {
    public var verdict: Verdict
    /// Of the whole process.
    public var growth: GrowthReport
    /// Until usage reaches the limit, if it goes on like this; nil without a limit or without growth.
    public var timeToLimitSeconds: Double?
    public var usageBytes: Double?
    public var limitBytes: Double?
    /// Worst first: by the bytes per second that are expected to leak.
    public var suspects: [Suspect]
    /// The largest sites that are no suspects, and why not.
    public var healthy: [SiteSummary]
    public var process: ProcessSummary
    /// Nil where there was no heap profile.
    public var sampling: SamplingSummary?
    /// Who holds the heap; nil where it was not read.
    public var heap: HeapSurvey?
    /// Who allocated what nothing leads to; of the sites that a profile knows.
    public var lostSites: [LostSite]
    /// What held more and more since an earlier look, fastest first.
    public var holderGrowth: [HolderGrowth]
    public var collectionGrowth: [CollectionGrowth]
    /// Collections whose count the agent saw rise all the time, the fastest first.
    public var risingCollections: [RisingCollection]
    /// One line for each thing that was cut, dropped or damaged.
    public var warnings: [String]

    package init(
        verdict: Verdict, growth: GrowthReport, timeToLimitSeconds: Double? = nil, usageBytes: Double? = nil,
        limitBytes: Double? = nil, suspects: [Suspect] = [], healthy: [SiteSummary] = [], process: ProcessSummary,
        sampling: SamplingSummary? = nil, heap: HeapSurvey? = nil, lostSites: [LostSite] = [],
        holderGrowth: [HolderGrowth] = [],
        collectionGrowth: [CollectionGrowth] = [], risingCollections: [RisingCollection] = [], warnings: [String] = []
    ) {
        self.verdict = verdict
        self.growth = growth
        self.timeToLimitSeconds = timeToLimitSeconds
        self.usageBytes = usageBytes
        self.limitBytes = limitBytes
        self.suspects = suspects
        self.healthy = healthy
        self.process = process
        self.sampling = sampling
        self.heap = heap
        self.lostSites = lostSites
        self.holderGrowth = holderGrowth
        self.collectionGrowth = collectionGrowth
        self.risingCollections = risingCollections
        self.warnings = warnings
    }
}

public struct Verdict: Sendable, Codable, Equatable {
    public enum Class: String, Sendable, Codable {
        /// A site is suspected with at least medium confidence.
        case leak
        /// Memory grows, but no site explains it.
        case growth
        case stable
        /// Too little data.
        case unknown
    }

    public var `class`: Class
    /// One sentence: what leaks, how fast, who, and when it hits the limit.
    public var summary: String

    package init(class: Class, summary: String) {
        self.class = `class`
        self.summary = summary
    }
}

/// Growth of the process, with a 95% interval.
public struct GrowthReport: Sendable, Codable, Equatable {
    public enum Source: String, Sendable, Codable {
        /// The history of the process's or cgroup's memory.
        case memory
        /// The heap's live bytes, as sampled.
        case heap
        case none
    }

    public var bytesPerSecond: Double
    public var low: Double
    public var high: Double
    public var pattern: GrowthPattern
    public var source: Source
    /// When it began, on the time axis of the data it was taken from.
    public var onset: Double?

    public var bytesPerDay: Double { bytesPerSecond * secondsPerDay }
    /// What does not go on in a line has no rate a day that one could count on.
    public var isLinear: Bool { pattern == .linear }

    /// `linear`, `flat`, …, as in JSON; for rooms that know no TimeSeries.
    package var patternName: String { pattern.rawValue }

    package init(
        bytesPerSecond: Double = 0, low: Double = 0, high: Double = 0, pattern: GrowthPattern = .insufficient,
        source: Source = .none, onset: Double? = nil
    ) {
        self.bytesPerSecond = bytesPerSecond
        self.low = low
        self.high = high
        self.pattern = pattern
        self.source = source
        self.onset = onset
    }
}

/// One function of the program and the memory that its allocations hold.
public struct Suspect: Sendable, Codable, Equatable {
    public enum ConfidenceLabel: String, Sendable, Codable, Comparable {
        case low, medium, high

        init(_ confidence: Double) { self = confidence >= 0.7 ? .high : confidence >= 0.4 ? .medium : .low }

        public static func < (a: Self, b: Self) -> Bool { a.order < b.order }
        private var order: Int { self == .low ? 0 : self == .medium ? 1 : 2 }
    }

    /// 1 is the worst.
    public var rank: Int
    /// 0…1; see `Confidence` for how it is come by.
    public var confidence: Double
    public var function: String
    public var module: String
    public var liveBytes: Double
    public var liveCount: Double
    /// Standard error of `liveBytes`, as sampling brings it; 0 when exact.
    public var liveBytesError: Double
    /// Bytes per second that it leaks, with a 95% interval that includes the sampling error.
    public var bytesPerSecond: Double
    public var low: Double
    public var high: Double
    /// Share of the growth of all suspects, and share of its bytes that was freed again; 0…1.
    public var growthShare: Double
    public var freedShare: Double
    public var ages: Ages
    /// Of the heaviest site, the program's own innermost frame first.
    public var stack: [StackFrame]
    public var evidence: [Evidence]
    /// Distinct allocation stacks that were put together.
    public var sites: Int
    /// In whose hands the bytes are, largest share first; empty where the heap was not read.
    public var holders: [Holder]

    public var confidenceLabel: ConfidenceLabel { ConfidenceLabel(confidence) }
    public var averageSize: Double { liveCount > 0 ? liveBytes / liveCount : 0 }
    public var bytesPerDay: Double { bytesPerSecond * secondsPerDay }

    package init(
        rank: Int = 0, confidence: Double, function: String, module: String, liveBytes: Double, liveCount: Double,
        liveBytesError: Double = 0, bytesPerSecond: Double, low: Double, high: Double, growthShare: Double,
        freedShare: Double, ages: Ages = Ages(),
        stack: [StackFrame] = [], evidence: [Evidence] = [], sites: Int = 1, holders: [Holder] = []
    ) {
        self.rank = rank
        self.confidence = confidence
        self.function = function
        self.module = module
        self.liveBytes = liveBytes
        self.liveCount = liveCount
        self.liveBytesError = liveBytesError
        self.bytesPerSecond = bytesPerSecond
        self.low = low
        self.high = high
        self.growthShare = growthShare
        self.freedShare = freedShare
        self.ages = ages
        self.stack = stack
        self.evidence = evidence
        self.sites = sites
        self.holders = holders
    }
}

/// Who keeps a suspect's blocks alive.
public struct Holder: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable {
        case root
        /// Several roots together, or small ones.
        case others
        /// No pointer leads to them: they are lost.
        case nothing
    }

    public var kind: Kind
    public var root: HeapSurvey.Root?
    /// Types of the objects between the root and where its memory comes together, from the outside.
    public var way: [String]
    /// Of the suspect's bytes that were found in the heap, 0…1.
    public var share: Double

    package init(kind: Kind, root: HeapSurvey.Root? = nil, way: [String] = [], share: Double) {
        self.kind = kind
        self.root = root
        self.way = way
        self.share = share
    }
}

/// How old the live blocks are, in seconds.
public struct Ages: Sendable, Codable, Equatable {
    public var youngest: Double
    public var median: Double
    public var oldest: Double
    /// Live bytes by time of birth: equal parts of the observed time, the earliest first. Empty without samples.
    public var births: [Double]

    package init(youngest: Double = 0, median: Double = 0, oldest: Double = 0, births: [Double] = []) {
        self.youngest = youngest
        self.median = median
        self.oldest = oldest
        self.births = births
    }
}

public struct StackFrame: Sendable, Codable, Equatable {
    public var function: String
    public var module: String
    public var file: String?
    public var line: Int?
    public var role: FrameRole

    package init(
        function: String, module: String, file: String? = nil, line: Int? = nil, role: FrameRole = .application
    ) {
        self.function = function
        self.module = module
        self.file = file
        self.line = line
        self.role = role
    }
}

/// One reason to believe or to doubt.
public struct Evidence: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable {
        case growth, survivors, freed, reallocation, insertion, share, samples, agreement, holder, baseline, observation
    }

    public var kind: Kind
    /// In plain words, with figures.
    public var text: String
    /// Points for (positive) or against a leak; see `Confidence`.
    public var weight: Double

    package init(kind: Kind, text: String, weight: Double) {
        self.kind = kind
        self.text = text
        self.weight = weight
    }
}

/// A function whose memory is in order.
public struct SiteSummary: Sendable, Codable, Equatable {
    public var function: String
    public var module: String
    public var liveBytes: Double
    public var liveCount: Double
    public var freedShare: Double
    /// `startUp`, `turnover`, …
    public var behaviour: Behaviour
    public var reason: String

    package init(
        function: String, module: String, liveBytes: Double, liveCount: Double, freedShare: Double,
        behaviour: Behaviour, reason: String
    ) {
        self.function = function
        self.module = module
        self.liveBytes = liveBytes
        self.liveCount = liveCount
        self.freedShare = freedShare
        self.behaviour = behaviour
        self.reason = reason
    }
}

/// Whose memory this is.
public struct ProcessSummary: Sendable, Codable, Equatable {
    public var name: String?
    public var pid: Int32?
    /// Seconds since 1970 at which recording began, and seconds it went on.
    public var startTime: Double?
    public var observedSeconds: Double
    /// Nil while it runs.
    public var ending: Ending?

    package init(
        name: String? = nil, pid: Int32? = nil, startTime: Double? = nil, observedSeconds: Double = 0,
        ending: Ending? = nil
    ) {
        self.name = name
        self.pid = pid
        self.startTime = startTime
        self.observedSeconds = observedSeconds
        self.ending = ending
    }
}

let secondsPerDay = 86_400.0
