import HeapProfile
import TimeSeries

/// Judges a process's memory: whether it leaks, where, how fast, and how sure that is.
///
/// Pure: the same input gives the same report. Damaged or hostile input gives a report as well, of what is sound in it.
/// - Complexity: O(n log n) in the live samples, plus about 0.2 ms for each function that holds memory.
public func analyze(_ input: LeakInput) -> LeakReport {
    let baseline = Baseline(input)
    guard let profile = input.profile, profile.duration > 0, profile.duration < 1e12 else {
        return LeakReport(input, baseline: baseline, heap: HeapFindings(input))
    }
    let judged = profile.beforeStandstill(input)
    return LeakReport(input, baseline: baseline, heap: HeapFindings(judged, input, baseline: baseline.growth))
}

extension HeapProfile {
    /// At its limit a process is slowed down until it stands still. That nothing was born then says nothing of where its
    /// memory goes.
    fileprivate func beforeStandstill(_ input: LeakInput) -> HeapProfile {
        guard let usage = input.usageBytes, let limit = input.limitBytes, usage >= limit * 0.9 else { return self }
        let last = max(sites.map(\.last).max() ?? 0, samples.map(\.birth).max() ?? 0)
        guard last > 0, last < duration else { return self }
        var profile = self
        profile.duration = last
        return profile
    }
}

/// The process's memory as a whole.
struct Baseline {
    /// Nil where the history is too short to judge.
    var growth: Growth?
    /// Seconds that the history must span before it is believed: a start takes that long.
    static let shortestSpan = 30.0

    init(_ input: LeakInput) {
        let growth = estimateGrowth(input.memory)
        guard growth.pattern != .insufficient, growth.span >= Self.shortestSpan else { return }
        self.growth = growth
    }
}

/// What the heap profile tells.
struct HeapFindings {
    var suspects: [Suspect] = []
    var healthy: [SiteSummary] = []
    /// Live bytes of all sites.
    var history: Growth?
    /// Sum of the rates of suspects of at least medium confidence.
    var leakRate = Rate(value: 0, error: 0)
    var duration = 0.0
    var hasExited = false
    var sampling: SamplingSummary?
    var lostSites: [LostSite] = []
    /// Since the earlier look, where there is one.
    var holderGrowth: [HolderGrowth]

    /// Without a profile.
    init(_ input: LeakInput) { holderGrowth = HolderGrowth.growing(input.heap, since: input.earlier) }

    init(_ profile: HeapProfile, _ input: LeakInput, baseline: Growth?) {
        self.init(input)
        let options = input.options
        duration = profile.duration
        hasExited = profile.process.exited
        let groups = SiteGroup.groups(
            of: profile, symbols: input.symbols, showsFoldedFrames: options.showsFoldedFrames)
        sampling = SamplingSummary(profile, groups: groups)
        lostSites = LostSite.sites(of: groups, in: input.heap)
        let judged = groups.map { Candidate(group: $0, judgement: Judgement(of: $0, duration: profile.duration)) }
        let candidates = Insertion.joined(
            judged.filter { $0.judgement.behaviour.isSuspicious && $0.rate.value > 0 }, duration: profile.duration)
        let context = Context(
            duration: profile.duration, candidatesRate: candidates.reduce(0) { $0 + $1.rate.value },
            liveBytes: groups.reduce(0) { $0 + $1.live.bytes }, baseline: baseline,
            holderGrowth: holderGrowth)
        let believed = candidates.map { candidate in
            var candidate = candidate
            candidate.holders = Holder.holders(of: candidate.group, in: input.heap)
            return (candidate: candidate, suspect: Suspect(candidate, context))
        }
        .filter { $0.suspect.confidence >= options.minimumConfidence }
        let ranked = believed.map(\.suspect)
            .sorted { ($0.expectedLeak, $0.liveBytes, $1.function) > ($1.expectedLeak, $1.liveBytes, $0.function) }
        for suspect in ranked where suspect.confidenceLabel >= .medium {
            leakRate.value += suspect.bytesPerSecond
            let error = (suspect.high - suspect.low) / 3.92
            leakRate.error = (leakRate.error * leakRate.error + error * error).squareRoot()
        }
        suspects = ranked.prefix(max(0, options.maximumSuspects)).enumerated().map { index, suspect in
            var suspect = suspect
            suspect.rank = index + 1
            return suspect
        }
        let suspected = Set(believed.flatMap(\.candidate.members))
        healthy = judged.filter { !suspected.contains($0.key) && $0.group.live.bytes > 0 }
            .sorted { ($0.group.live.bytes, $1.group.function) > ($1.group.live.bytes, $0.group.function) }
            .prefix(max(0, options.maximumHealthy)).map(SiteSummary.init)
        history = Self.history(of: groups, duration: profile.duration, interval: profile.sampling.interval)
    }

    /// What grew without a sample is in no sample's error: with 95% confidence it is less than three intervals (Hanley and
    /// Lippman-Hand: "If nothing goes wrong, is everything all right?", 1983).
    private static func history(of groups: [SiteGroup], duration: Double, interval: UInt64) -> Growth? {
        let unseen = interval > 1 ? 3 / 1.96 * Double(interval) : 0
        let error = groups.reduce(unseen * unseen) { $0 + $1.samplingError * $1.samplingError }.squareRoot()
        let growth = LiveHistory(groups.flatMap(\.sites), duration: duration).growth(
            samplingError: error, freedShare: 1)
        return growth.pattern == .insufficient ? nil : growth
    }
}

extension Suspect {
    /// What ranks: the rate that is certain, or a tenth of the estimate where none is, as far as it is believed.
    fileprivate var expectedLeak: Double { max(low, bytesPerSecond / 10) * confidence }

    init(_ candidate: Candidate, _ context: Context) {
        let confidence = Confidence(candidate, in: context)
        let group = candidate.group
        self.init(
            confidence: confidence.value, function: group.function, module: group.module, liveBytes: group.live.bytes,
            liveCount: group.live.count, liveBytesError: group.samplingError, bytesPerSecond: candidate.rate.value,
            low: candidate.rate.low,
            high: candidate.rate.high, growthShare: candidate.share(of: context), freedShare: group.freedShare,
            ages: Ages(of: group, duration: context.duration), stack: group.stack, evidence: confidence.evidence,
            sites: group.sites.count, holders: candidate.holders)
    }
}

extension Ages {
    private static let parts = 24

    init(of group: SiteGroup, duration: Double) {
        let births = group.samples.joined().map { (time: min($0.birth, duration), bytes: $0.bytes) }
            .sorted { $0.time < $1.time }
        guard let first = births.first, let last = births.last, duration > 0 else {
            self.init()
            return
        }
        var histogram = [Double](repeating: 0, count: Self.parts)
        for birth in births {
            histogram[min(Self.parts - 1, Int(birth.time / duration * Double(Self.parts)))] += birth.bytes
        }
        self.init(
            youngest: duration - last.time, median: duration - Self.middle(births),
            oldest: duration - first.time, births: histogram)
    }

    /// When half of the bytes had been born: samples stand for different numbers of blocks.
    private static func middle(_ births: [(time: Double, bytes: Double)]) -> Double {
        let half = births.reduce(0) { $0 + $1.bytes } / 2
        var before = 0.0
        for birth in births {
            before += birth.bytes
            if before >= half { return birth.time }
        }
        return births.last?.time ?? 0
    }
}

extension SamplingSummary {
    init(_ profile: HeapProfile, groups: [SiteGroup]) {
        let sampling = profile.sampling
        self.init(
            interval: Double(sampling.interval), isExact: sampling.isExact, liveSamples: profile.samples.count,
            sites: profile.sites.count, liveBytes: groups.reduce(0) { $0 + $1.live.bytes },
            allocatedBytes: groups.reduce(0) { $0 + $1.allocated.bytes },
            freedBytes: groups.reduce(0) { $0 + $1.freed.bytes },
            liveBytesError: Self.error(groups.map(\.live)), allocatedBytesError: Self.error(groups.map(\.allocated)),
            freedBytesError: Self.error(groups.map(\.freed)),
            probeTimeShare: (sampling.slowPathSeconds.sound / profile.duration).clamped(to: 0...1e6),
            probe: ProbeAccount(sampling))
    }

    private static func error(_ estimates: [Estimate]) -> Double { estimates.reduce(Estimate(), +).error }
}

extension ProbeAccount {
    init(_ sampling: Sampling) {
        self.init()
        samplesTaken = sampling.samplesTaken
        samplesFreed = sampling.samplesFreed
        samplesThinned = sampling.samplesThinned
        samplesDropped = sampling.samplesDropped
        samplesPaused = sampling.samplesPaused
        stacksCut = sampling.stacksCut
        stacksFailed = sampling.stacksFailed
        stacksLost = sampling.stacksLost
        widestInterval = Double(sampling.widestInterval)
        paced = sampling.paced
        stalled = sampling.stalled
        meanSeconds = sampling.slowPathCount > 0 ? sampling.slowPathSeconds.sound / Double(sampling.slowPathCount) : 0
        p99Seconds = Self.quantile(0.99, of: sampling.slowPathOctaves)
        worstSeconds = sampling.slowPathWorstSeconds.sound
        memoryBytes = sampling.memoryBytes
        ledgerBytes = sampling.ledgerBytes
        isPaused = sampling.isPaused
        isAttached = sampling.isAttached
        isDetached = sampling.isDetached
    }

    /// Upper bound of the octave in which that share of the calls ends.
    private static func quantile(_ share: Double, of octaves: [UInt64]) -> Double {
        let calls = octaves.reduce(0.0) { $0 + Double($1) }
        var sum = 0.0
        for (index, count) in octaves.prefix(32).enumerated() {
            sum += Double(count)
            if calls > 0, sum >= share * calls { return Double(UInt64(1) << UInt64(7 + index)) / 1e9 }
        }
        return 0
    }
}

extension SiteSummary {
    init(_ judged: Candidate) {
        let group = judged.group
        self.init(
            function: group.function, module: group.module, liveBytes: group.live.bytes, liveCount: group.live.count,
            freedShare: group.freedShare, behaviour: judged.judgement.behaviour, reason: judged.reason)
    }
}

extension Candidate {
    /// Why this is in order, in plain words.
    fileprivate var reason: String {
        let freed = Figures.percent(group.freedShare)
        switch judgement.behaviour {
        case .startUp: return "born mostly at the beginning"
        case .turnover: return "turns over: \(freed) freed, nothing outlives what is freed"
        case .shrinking: return "shrinks"
        case .sparse: return "too few samples to judge"
        case .steady:
            let history = judgement.history
            if history.pattern == .insufficient { return "no sign of growth" }
            let rate = Figures.interval(history.low, history.high)
            let what = history.low > 0 ? "grows \(history.pattern.words)" : "does not visibly grow"
            return "\(what): \(rate), \(freed) freed"
        case .accumulating, .reallocating, .growing, .backlog, .filling: return "grows, but little speaks for a leak"
        }
    }
}
