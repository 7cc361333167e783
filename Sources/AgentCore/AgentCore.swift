public import TimeSeries

/// The agent's decisions about one process: what it sees goes in, what to do comes out. No clock, no file, no process.
///
/// A `step` costs well below a microsecond, except that every few seconds the baseline's growth is estimated anew
/// (at most 256 points, O(n²)).
public struct AgentCore: Sendable {
    public let policy: Policy
    /// When to look again, in seconds: 0.02…1.
    public private(set) var interval = Self.restInterval
    /// Of the process's own memory; nil before there is enough to tell.
    public private(set) var growth: Growth?
    /// Against the tighter of the cgroup's limit and `Policy.memoryLimit`; nil where there is neither.
    public private(set) var occupancy: Occupancy?

    /// Path of the newest snapshot; nil where none was taken.
    public var snapshot: String? { snapshots.newest }

    private static let restInterval = 1.0

    private var process: ProcessKey?
    private var clock = WatchClock()
    private var recent = RecentSlope(window: 1)
    private var trend = RecentSlope(window: 10)
    private var baseline = TroughSeries()
    /// Nine minutes, over an hour and nine hours: growth that began late.
    private var horizons = Self.newHorizons
    private var nextEstimate = 0.0
    private var ownBytes = 0.0
    private var oomKills: UInt64?
    private var snapshots = SnapshotState()
    /// For how long it had grown when it first looked like a leak, as long as it has looked so ever since.
    private var suspectedSince: Double?
    /// One rising flank of a sawtooth is as steady as a leak. It is a leak if it still is one after twice the time.
    private var isLeaking = false
    private var ending: Situation?
    /// It ended well while a snapshot was being written, which may not have read the ledger yet.
    private var discardsLater = false
    private var notified: [EventKind: Double] = [:]
    private var surveys = SurveySchedule()
    private var collections = CollectionTrends()

    public init(policy: Policy) { self.policy = policy }

    /// For the next process of the same service: it starts anew, but what people were told just now they still know.
    public func successor() -> AgentCore {
        var next = AgentCore(policy: policy)
        next.clock = clock
        next.notified = notified
        return next
    }

    public mutating func step(_ observation: Observation) -> [Effect] {
        let now = clock.advance(to: observation.time)
        switch observation.event {
        case .memory(let reading): return judge(reading, now)
        case .captured(let path): return captured(path, now)
        case .captureFailed: return captureFailed(now)
        case .surveyed:
            surveys.finish(now)
            return []
        case .counted(let readings, let pid): return counted(readings, of: pid, now)
        case .memberEnded(let pid, let path, let wasKilled): return memberEnded(pid, path, wasKilled, now)
        case .ended(let end): return ended(end, now)
        }
    }

    // MARK: Watching

    private mutating func judge(_ reading: MemoryReading, _ now: Double) -> [Effect] {
        guard reading.ownBytes.isFinite else { return [] }
        var effects: [Effect] = []
        if let process, process != reading.process {
            effects += [.forget]
            restart()
        }
        process = reading.process
        ownBytes = reading.ownBytes
        oomKills = reading.oomKills ?? oomKills
        let before = occupancy
        occupancy = tighter(reading)
        if before?.limit != occupancy?.limit {
            recent.reset()
            trend.reset()
        }
        recent.add(time: now, value: occupancy?.used ?? ownBytes)
        trend.add(time: now, value: occupancy?.used ?? ownBytes)
        baseline.add(Point(time: now, value: ownBytes))
        for index in horizons.indices { horizons[index].add(Point(time: now, value: ownBytes)) }
        estimate(now)
        if let occupancy { snapshots.see(occupancy) }
        if let trigger = trigger(now) {
            let situation = situation(trigger)
            snapshots.begin(situation, at: occupancy, now)
            effects.append(.capture(trigger, situation))
        }
        interval = nextInterval()
        effects += growthNotice(now)
        if policy.countsCollections, isAmple, !snapshots.isRunning, surveys.isDue(now) {
            surveys.begin(now)
            effects.append(.survey)
        }
        if isAmple, let path = snapshots.takeUnresolved() { effects.append(.symbolize(path: path)) }
        return effects
    }

    private func tighter(_ reading: MemoryReading) -> Occupancy? {
        let own = policy.memoryLimit.map { Occupancy(used: reading.ownBytes, limit: $0) }
        guard let cgroup = reading.cgroup, cgroup.limit > 0, cgroup.used.isFinite else { return own }
        guard let own else { return cgroup }
        return own.limit <= cgroup.limit ? own : cgroup
    }

    private mutating func restart() {
        recent.reset()
        baseline = TroughSeries()
        horizons = Self.newHorizons
        growth = nil
        suspectedSince = nil
        isLeaking = false
        trend.reset()
        nextEstimate = 0
        oomKills = nil
        ending = nil
        discardsLater = false
        snapshots = SnapshotState()
        surveys = SurveySchedule()
        collections = CollectionTrends()
    }

    private static var newHorizons: [RecentTroughs] { [4, 32, 256].map(RecentTroughs.init) }

    private mutating func estimate(_ now: Double) {
        guard now >= nextEstimate, let first = baseline.points.first else { return }
        let span = now - first.time
        nextEstimate = now + max(5, min(60, span / 32))
        guard span >= policy.growthSpan else { return }
        var judged = estimateGrowth(baseline.points)
        if !looksLikeLeak(judged, now), let late = lateGrowth(now) { judged = late }
        growth = judged
        suspectedSince = looksLikeLeak(judged, now) ? suspectedSince ?? judged.risingTime(until: now) : nil
        isLeaking = suspectedSince.map { judged.risingTime(until: now) >= 2 * $0 } ?? false
    }

    /// Growth of the last while that is new: it leads above whatever the baseline was before, as a daily rise does not.
    private func lateGrowth(_ now: Double) -> Growth? {
        for troughs in horizons.reversed() {
            let growth = estimateGrowth(troughs.points)
            guard looksLikeLeak(growth, now), let last = troughs.points.last else { continue }
            let onset = now - growth.risingTime(until: now)
            let before = baseline.points.prefix { $0.time <= onset }.map(\.value).max() ?? 0
            if last.value - before >= growth.rise(until: now) / 2 { return growth }
        }
        return nil
    }

    // MARK: Judging

    /// Seconds until the limit at the slope of the last second.
    private var imminent: Double? {
        guard let occupancy, let slope = recent.perSecond, slope > 0 else { return nil }
        return occupancy.headroom / slope
    }

    /// Seconds until the limit: by the baseline's growth, or else by the last ten seconds.
    public var secondsToLimit: Double? {
        guard let occupancy else { return nil }
        if let growth, growth.pattern == .linear, growth.low > 0 { return occupancy.headroom / growth.perSecond }
        guard let slope = trend.perSecond, slope > 0 else { return nil }
        return occupancy.headroom / slope
    }

    /// Growth that is steady, certain and large enough to matter.
    private func looksLikeLeak(_ growth: Growth, _ now: Double) -> Bool {
        guard growth.pattern == .linear, growth.low > 0 else { return false }
        return growth.rise(until: now) >= materialBytes
    }

    /// What is worth telling.
    private var materialBytes: Double { occupancy.map { $0.limit * policy.materialShare } ?? policy.materialBytes }

    /// A helper process beside the watched one will not be what tips it over. A limit that nobody enforces never is.
    private var isAmple: Bool {
        guard let occupancy else { return true }
        if occupancy.limit == policy.memoryLimit { return true }
        return occupancy.share < 0.6 && (imminent ?? .infinity) > 30
    }

    private func trigger(_ now: Double) -> Trigger? {
        guard snapshots.isReady(now) else { return nil }
        if let occupancy, isNearLimit(occupancy),
            snapshots.isCloser(occupancy, now, cooldown: policy.snapshotCooldown)
        {
            return .limit
        }
        if let level = policy.heapLevel, let occupancy, occupancy.share >= level, isRising, !snapshots.has(.heap) {
            return .heap
        }
        // Steady growth is worth one snapshot long before the limit; what follows is the limit's business.
        return isLeaking && !snapshots.hasAny ? .growth : nil
    }

    private var isRising: Bool { (recent.perSecond ?? 0) > 0 || (growth?.low ?? 0) > 0 }

    private func isNearLimit(_ occupancy: Occupancy) -> Bool {
        if occupancy.share >= policy.level { return isRising || recent.perSecond == nil }
        return occupancy.share >= policy.earlyLevel && (imminent ?? .infinity) < policy.leadTime
    }

    /// Often enough to see a steep rise several times before the limit, whatever the slope was until now; rarely
    /// enough that a service at rest close to its limit costs next to nothing.
    ///
    /// Not where a further rise would change nothing: a look needs memory of the kernel's, and whoever waits for memory
    /// while the last thread of a killed service is on its way out is for an instant the only one left to kill (Linux 6.18).
    private func nextInterval() -> Double {
        guard let occupancy, !snapshots.isLastBeforeLimit else { return Self.restInterval }
        let steepest = 2.0 * 1_073_741_824  // bytes per second that one thread can touch
        let unforeseen = max(0.05, occupancy.headroom / steepest)
        let foreseen = max(0.02, (imminent ?? .infinity) / 20)
        return min(Self.restInterval, unforeseen, foreseen)
    }

    private func situation(_ trigger: Trigger?, isOutOfMemory: Bool = false) -> Situation {
        let isEarly = trigger == .limit && (occupancy?.share ?? 1) < policy.level
        return Situation(
            trigger: trigger, usedBytes: occupancy?.used ?? ownBytes, limitBytes: occupancy?.limit,
            secondsToLimit: isEarly ? imminent : secondsToLimit, growth: growth, isOutOfMemory: isOutOfMemory)
    }

    // MARK: Telling

    private mutating func growthNotice(_ now: Double) -> [Effect] {
        guard isLeaking else { return [] }
        // The snapshot that is being taken of it shall be in the message.
        guard !snapshots.isRunning else { return [] }
        return notify(.growth, situation(nil), now)
    }

    /// The fastest of the collections that rise all the time and have come to be worth telling.
    private mutating func counted(_ readings: [CollectionReading], of pid: Int32, _ now: Double) -> [Effect] {
        collections.add(readings, of: pid, now)
        guard let rising = collections.fastest(adding: materialBytes, now) else { return [] }
        var situation = situation(nil)
        situation.collection = rising
        situation.member = pid
        return notify(.collection, situation, now)
    }

    /// What was counted so far of a process, for a snapshot; in no particular order.
    public func countedCollections(of pid: Int32) -> [(reading: CollectionReading, points: [Point])] {
        collections.pid == pid ? collections.all : []
    }

    private mutating func notify(_ kind: EventKind, _ situation: Situation, _ now: Double) -> [Effect] {
        if let last = notified[kind], now - last < policy.alertCooldown { return [] }
        notified[kind] = now
        return [.notify(kind, situation, snapshot: snapshots.newest)]
    }

    /// One of a steep start is taken to be sure, and nobody's concern; one of growth is told with the growth.
    private func isWorthTelling(_ situation: Situation) -> Bool {
        switch situation.trigger {
        case .limit: situation.usedBytes >= (situation.limitBytes ?? 0) * policy.level
        case .growth, .heap: false
        default: true
        }
    }

    private mutating func memberEnded(
        _ pid: Int32, _ path: String, _ wasKilled: Bool, _ now: Double
    ) -> [Effect] {
        snapshots.add(path)
        var situation = situation(.killed)
        situation.member = pid
        let told = wasKilled ? notify(.killed, situation, now) : []
        return isAmple ? told + [.symbolize(path: path)] : told
    }

    // MARK: Snapshots and the end

    private mutating func captured(_ path: String, _ now: Double) -> [Effect] {
        let situation = snapshots.finish(path) ?? situation(nil)
        var effects = isWorthTelling(situation) ? notify(.snapshot, ending ?? situation, now) : []
        guard let ending else {
            if isAmple, let path = snapshots.takeUnresolved() { effects.append(.symbolize(path: path)) }
            return effects + discardIfEnded()
        }
        if situation.trigger != ending.trigger { return effects + lastCapture(ending, now) }
        effects += endNotice(ending, now)
        if let path = snapshots.takeUnresolved() { effects.append(.symbolize(path: path)) }
        effects.append(.discardLedger)
        return effects
    }

    private mutating func captureFailed(_ now: Double) -> [Effect] {
        let situation = snapshots.fail(now, longestPause: policy.snapshotCooldown)
        guard let ending else {
            discardsLater = false  // the ledger is all that there is
            return []
        }
        return situation?.trigger == ending.trigger ? endNotice(ending, now) : lastCapture(ending, now)
    }

    private mutating func discardIfEnded() -> [Effect] {
        defer { discardsLater = false }
        return discardsLater ? [.discardLedger] : []
    }

    private mutating func ended(_ end: Ending, _ now: Double) -> [Effect] {
        let isOutOfMemory = end.cause == .killed && (end.oomKills ?? 0) > (oomKills ?? end.oomKills ?? 0)
        let trigger: Trigger?
        switch end.cause {
        case .killed: trigger = .killed
        // A program that ends by itself frees its heap first: a snapshot of its growth says more than one of its end.
        case .exited: trigger = policy.snapshotsAtExit || (hasGrown && !snapshots.hasAny) ? .exit : nil
        }
        guard let trigger else {
            let rest = snapshots.takeUnresolved().map { [Effect.symbolize(path: $0)] } ?? []
            discardsLater = snapshots.isRunning
            return discardsLater || snapshots.hasFailed ? rest : rest + [.discardLedger]
        }
        let last = situation(trigger, isOutOfMemory: isOutOfMemory)
        ending = last
        // One that was begun before the end has seen less: it finishes first.
        return snapshots.isRunning ? [] : lastCapture(last, now)
    }

    /// For a look afterwards: less than for an alarm.
    private var hasGrown: Bool {
        let growth = estimateGrowth(baseline.points)
        return growth.pattern == .linear && growth.low > 0 && growth.span >= 10
            && growth.perSecond * growth.span >= policy.leastGrowth
    }

    private mutating func lastCapture(_ ending: Situation, _ now: Double) -> [Effect] {
        guard let trigger = ending.trigger else { return [] }
        snapshots.begin(ending, at: nil, now)
        return [.capture(trigger, ending)]
    }

    private mutating func endNotice(_ ending: Situation, _ now: Double) -> [Effect] {
        ending.trigger == .killed ? notify(.killed, ending, now) : []
    }
}
