import HeapProfile
import TimeSeries

/// How sure it is that a group leaks: points for and against, added up.
///
/// Each piece of evidence is worth points, which are natural logarithms of odds; their sum, from a start of −1 (one
/// suspect in four is a leak before anything is known), becomes a probability by the logistic function. Two ceilings
/// then say what no amount of evidence can: that a cache which is still filling is none (the shorter the observation,
/// the lower), and that a backlog will not be worked off.
///
/// | kind         | points                                                                                         |
/// |--------------|------------------------------------------------------------------------------------------------|
/// | growth       | +1.5 live bytes rise in a line; −0.5 they do not visibly; 0 too short                           |
/// | survivors    | +1.5 born evenly, +0.75 unevenly or few; −1 ever fewer; −2 early only; −1.5 none; 0 unknown     |
/// | freed        | +0.5 under 5% freed; −0.5 over half freed and nothing outlives it                               |
/// | reallocation | +0.5 blocks move to larger ones                                                                |
/// | insertion    | no points: says which functions' blocks belong together                                         |
/// | share        | +0.75 at least half of all growth, +0.25 a tenth, −1 under 2%; −1 grew by under 1% of the heap |
/// | samples      | rate's error: −1.5 over 50%, −0.5 over 25%, +0.25 under 10%                                    |
/// | agreement    | +0.5 both estimates agree; −0.5 they do not                                                    |
/// | holder       | +1 half of it is lost, as no pointer leads to it; +0.5 one named variable holds half of it,     |
/// |              | and +0.5 more if that has grown as fast since an earlier look                                    |
/// | baseline     | +0.75 the process grows as well; −0.75 it does not grow at all                                 |
/// | observation  | no points, a ceiling                                                                           |
struct Confidence: Sendable {
    var evidence: [Evidence]
    var ceiling: Double

    private static let prior = -1.0
    /// Seconds below which a leak and a cache that fills look alike: its ceiling is 0.7 there.
    static let shortestCertain = 60.0
    static let doubtBefore = "a cache that is still filling looks the same"

    /// 0…1.
    var value: Double {
        let points = evidence.reduce(Self.prior) { $0 + $1.weight }
        return min(ceiling, logistic(points))
    }

    init(_ candidate: Candidate, in context: Context) {
        evidence = [
            Self.growth(candidate), Self.survivors(candidate, context), Self.freed(candidate),
            Self.reallocation(candidate), Self.insertion(candidate),
            Self.share(candidate, context), Self.samples(candidate, context), Self.agreement(candidate),
            Self.holder(candidate, context), Self.baseline(candidate, context), Self.observation(context),
        ].compactMap(\.self)
        ceiling = min(Self.ceiling(duration: context.duration), Self.ceiling(of: candidate))
    }

    /// 0.4 after 10 s, 0.46 after 15, 0.7 after a minute, 0.98 from five on: only time tells a leak from a cache that
    /// is not full yet.
    static func ceiling(duration: Double) -> Double {
        guard duration >= 10 else { return 0.39 }
        // log2 by counting: doublings of 10 s, in between in a straight line.
        var rest = duration / 10
        var doublings = 0.0
        while rest >= 2, doublings < 10 {
            rest /= 2
            doublings += 1
        }
        return min(0.98, 0.4 + 0.12 * (doublings + rest - 1))
    }

    private static func ceiling(of candidate: Candidate) -> Double {
        switch candidate.judgement.behaviour {
        case .backlog, .filling: 0.39
        // Where much is freed and the ages cannot tell yet, more turnover is as likely as a leak.
        case .growing: candidate.group.freedShare >= 0.25 ? 0.39 : 0.69
        default: 1
        }
    }
}

/// What a candidate is compared with.
struct Context: Sendable {
    var duration: Double
    /// Sum of all candidates' rates, bytes per second.
    var candidatesRate: Double
    var liveBytes: Double
    /// Of the process's memory, where there is a history long enough to judge.
    var baseline: Growth?
    var holderGrowth: [HolderGrowth] = []
}

/// A suspicious group.
struct Candidate: Sendable {
    var group: SiteGroup
    var judgement: Judgement
    /// The functions that allocate; more than one where they are one `Insertion`.
    var members: [StackResolver.Key]
    /// Bytes of one block, of an insertion those of one block of each member.
    var blockSize: Double
    /// Where the heap was read.
    var holders: [Holder] = []

    init(group: SiteGroup, judgement: Judgement) {
        self.group = group
        self.judgement = judgement
        members = [StackResolver.Key(function: group.function, module: group.module)]
        blockSize = group.live.average
    }

    var rate: Rate { judgement.rate }
    var key: StackResolver.Key { .init(function: group.function, module: group.module) }
    func share(of context: Context) -> Double {
        context.candidatesRate > 0 ? (rate.value / context.candidatesRate).clamped(to: 0...1) : 0
    }
}

// MARK: - The pieces of evidence

extension Confidence {
    private static func growth(_ candidate: Candidate) -> Evidence? {
        let history = candidate.judgement.history
        if history.pattern == .insufficient { return nil }
        let rise = "\(Figures.rate(history.perSecond)) (\(Figures.interval(history.low, history.high)))"
        guard candidate.judgement.isRising else {
            let what = history.low > 0 ? "live bytes rise in no line" : "live bytes do not visibly rise"
            return Evidence(kind: .growth, text: "\(what): \(rise), \(history.pattern.words)", weight: -0.5)
        }
        let since = history.onset.map { $0 > 0 ? " since second \(Figures.decimal($0, places: 0))" : "" } ?? ""
        return Evidence(kind: .growth, text: "live bytes rise in a line\(since) by \(rise)", weight: 1.5)
    }

    private static func survivors(_ candidate: Candidate, _ context: Context) -> Evidence? {
        let survivors = candidate.judgement.survivors
        let age = Figures.duration(survivors.cutoff)
        let older = survivors.cutoff > 0 ? "blocks older than \(age), beyond which next to none is freed," : "blocks"
        let isFew = survivors.samples < 16
        switch survivors.births {
        case .unknown: return nil
        case .none:
            guard !candidate.group.movesToLargerBlocks else { return nil }
            return Evidence(kind: .survivors, text: "nothing outlives what is freed here", weight: -1.5)
        case .early:
            return Evidence(kind: .survivors, text: "\(older) were born at the beginning only", weight: -2)
        case .fading:
            return Evidence(kind: .survivors, text: "ever fewer \(older) are born: it may be filling up", weight: -1)
        case .spread(let rate, let onset, let even):
            let since =
                onset > context.duration / 50 ? "since second \(Figures.decimal(onset, places: 1))" : "since the start"
            let how = even ? "evenly \(since)" : "all the time, in waves"
            let speed = "\(Figures.rate(rate.value)) (\(Figures.interval(rate.low, rate.high)))"
            return Evidence(
                kind: .survivors, text: "\(older) were born \(how): \(speed)", weight: even && !isFew ? 1.5 : 0.75)
        }
    }

    private static func freed(_ candidate: Candidate) -> Evidence? {
        let share = candidate.group.freedShare
        let text = "\(Figures.percent(share)) of what was allocated here was freed"
        if share < 0.05 { return Evidence(kind: .freed, text: text, weight: 0.5) }
        let outlives = candidate.judgement.survivorRate != nil || candidate.group.movesToLargerBlocks
        return Evidence(kind: .freed, text: text, weight: share > 0.5 && !outlives ? -0.5 : 0)
    }

    private static func reallocation(_ candidate: Candidate) -> Evidence? {
        let group = candidate.group
        guard candidate.judgement.behaviour == .reallocating, group.movesToLargerBlocks else { return nil }
        let moving = group.movingSites
        let live = Figures.bytes(moving.reduce(Estimate()) { $0 + $1.live }.average)
        let freed = Figures.bytes(moving.reduce(Estimate()) { $0 + $1.freed }.average)
        return Evidence(
            kind: .reallocation, text: "blocks move to larger ones: \(live) alive, \(freed) freed, on average",
            weight: 0.5)
    }

    private static func insertion(_ candidate: Candidate) -> Evidence? {
        guard candidate.members.count > 1 else { return nil }
        let names = candidate.members.map(\.function).joined(separator: ", ")
        return Evidence(kind: .insertion, text: "one insertion, a block each at the same pace: \(names)", weight: 0)
    }

    private static func share(_ candidate: Candidate, _ context: Context) -> Evidence? {
        let share = candidate.share(of: context)
        let grown = candidate.rate.value * context.duration
        let isSmall = grown < context.liveBytes / 100
        let points = share >= 0.5 ? 0.75 : share >= 0.1 ? 0.25 : share < 0.02 ? -1 : 0
        let text = "\(Figures.percent(share)) of all growth in the heap"
        return Evidence(
            kind: .share, text: isSmall ? text + ", though less than 1% of the heap" : text,
            weight: points - (isSmall ? 1 : 0))
    }

    private static func samples(_ candidate: Candidate, _ context: Context) -> Evidence? {
        let count = candidate.group.samples.reduce(0) { $0 + $1.count }
        let rate = candidate.rate
        let error = rate.value > 0 ? rate.error / rate.value : 1
        let points = error > 0.5 ? -1.5 : error > 0.25 ? -0.5 : error < 0.1 ? 0.25 : 0
        let blocks = count > 0 ? Figures.count(Double(count), "sampled block") : "counters alone"
        return Evidence(
            kind: .samples, text: "rests on \(blocks): the rate is known to ±\(Figures.percent(1.96 * error))",
            weight: points)
    }

    private static func agreement(_ candidate: Candidate) -> Evidence? {
        let judgement = candidate.judgement
        guard judgement.survivorRate != nil, judgement.isRising, judgement.survivors.coverage >= 0.9 else { return nil }
        return judgement.agree
            ? Evidence(kind: .agreement, text: "the rise and the survivors' births give the same rate", weight: 0.5)
            : Evidence(kind: .agreement, text: "the rise and the survivors' births give different rates", weight: -0.5)
    }

    private static func holder(_ candidate: Candidate, _ context: Context) -> Evidence? {
        guard let first = candidate.holders.first, first.share >= 0.5, first.kind != .others else { return nil }
        let share = Figures.percent(first.share)
        guard let root = first.root else {
            return Evidence(kind: .holder, text: "no pointer leads to \(share) of it any more: it is lost", weight: 1)
        }
        let container = root.container.map { ", \($0.text)" } ?? ""
        let held = "\(share) of it is held by \(root.title)\(container)"
        guard root.isNamed else { return Evidence(kind: .holder, text: held, weight: 0) }
        guard let growth = context.holderGrowth.first(where: { $0.root == root }) else {
            return Evidence(kind: .holder, text: held, weight: 0.5)
        }
        let agrees = (0.7...1.4).contains(growth.bytesPerSecond / max(1, candidate.rate.value))
        return Evidence(
            kind: .holder, text: "\(held), and grew by \(growth.text)", weight: agrees ? 1 : 0.5)
    }

    private static func baseline(_ candidate: Candidate, _ context: Context) -> Evidence? {
        guard let baseline = context.baseline else { return nil }
        let text = "the process's memory grows by \(Figures.rate(baseline.perSecond)), \(baseline.pattern.words)"
        if baseline.pattern == .linear, baseline.high >= candidate.rate.low {
            return Evidence(kind: .baseline, text: text, weight: 0.75)
        }
        let isDenied = baseline.pattern != .linear && baseline.high < candidate.rate.low / 2
        return Evidence(kind: .baseline, text: text, weight: isDenied ? -0.75 : 0)
    }

    private static func observation(_ context: Context) -> Evidence? {
        guard context.duration < shortestCertain else { return nil }
        let text = "only \(Figures.duration(context.duration)) observed: \(doubtBefore)"
        return Evidence(kind: .observation, text: text, weight: 0)
    }
}

extension GrowthPattern {
    var words: String {
        switch self {
        case .flat: "flat"
        case .linear: "in a line"
        case .saturating: "ever more slowly"
        case .step: "in one step"
        case .shrinking: "shrinking"
        case .insufficient: "too short to judge"
        }
    }
}

/// 1 / (1 + e^−x) without a math library: e^x by squaring (1 + x/2^20) twenty times, good to 5 digits here.
private func logistic(_ x: Double) -> Double {
    var power = 1 + (-x).clamped(to: -30...30) / 1_048_576
    for _ in 0..<20 { power *= power }
    return 1 / (1 + power)
}
