import HeapProfile
import TimeSeries

/// What a group's memory does.
public enum Behaviour: String, Sendable, Codable {
    /// Survivors are born all the time and live bytes do not deny it: a leak.
    case accumulating
    /// Live bytes rise while blocks move to larger ones: a collection that only grows.
    case reallocating
    /// Live bytes rise, and the ages cannot tell why.
    case growing
    /// Live bytes rise, but all that is old gets freed: producers are ahead of consumers.
    case backlog
    /// Ever fewer survivors are born: a warm-up, or a cache that is becoming full.
    case filling
    /// Born at the beginning and kept.
    case startUp
    /// As much is freed as is allocated: a full cache, buffers, queues.
    case turnover
    case shrinking
    case steady
    /// Too few samples to tell.
    case sparse

    /// Whether memory with this behaviour can be a suspect.
    var isSuspicious: Bool {
        switch self {
        case .accumulating, .reallocating, .growing, .backlog, .filling: true
        case .startUp, .turnover, .shrinking, .steady, .sparse: false
        }
    }
}

/// Two independent looks at a group, and what follows from both.
struct Judgement: Sendable {
    var behaviour = Behaviour.sparse
    /// How fast it grows; 0 where it is not suspicious.
    var rate = Rate(value: 0, error: 0)
    /// By the history of live bytes. Its interval includes the sampling error.
    var history = Growth(perSecond: 0, low: 0, high: 0, pattern: .insufficient)
    var survivors = Survivors()

    /// Groups with fewer live samples than this are not judged, unless they are exact.
    private static let fewestSamples = 5

    init(of group: SiteGroup, duration: Double) {
        let sampleCount = group.samples.reduce(0) { $0 + $1.count }
        // A few large blocks are known exactly, however few they are: a collection's one big table is one block.
        let error = group.samplingError
        let isJudged = sampleCount >= Self.fewestSamples || group.live.bytes > 0 && error < group.live.bytes / 10
        guard isJudged else { return }
        history = LiveHistory(group.sites, duration: duration).growth(
            samplingError: error, freedShare: group.freedShare)
        survivors = Survivors(of: group, duration: duration)
        behaviour = judge(group)
        if behaviour.isSuspicious {
            rate = bestRate(movingShare: group.movingShare, moving: MovingGrowth(of: group, duration: duration).rate)
        }
    }

    var isRising: Bool { history.pattern == .linear && history.low > 0 }
    var historyRate: Rate {
        Rate(
            value: history.perSecond,
            error: max(history.high - history.perSecond, history.perSecond - history.low) / 1.96)
    }
    var survivorRate: Rate? {
        guard case .spread(let rate, _, _) = survivors.births else { return nil }
        return rate
    }

    /// The two estimators' intervals meet.
    var agree: Bool {
        guard let survivorRate, isRising else { return false }
        let distance = abs(survivorRate.value - history.perSecond)
        return distance <= 1.96 * (survivorRate.error + historyRate.error) || distance <= history.perSecond / 4
    }

    private func judge(_ group: SiteGroup) -> Behaviour {
        if history.pattern == .shrinking { return .shrinking }
        let moves = group.movesToLargerBlocks
        switch survivors.births {
        case .spread(let rate, _, _):
            // Old blocks whose number does not rise are the tail of long lifetimes.
            let isDenied = history.pattern != .insufficient && history.high < rate.low / 2
            return isDenied ? .steady : .accumulating
        case .fading: return isRising ? .filling : .startUp
        case .early: return isRising && moves ? .reallocating : isRising ? .growing : .startUp
        case .none: return isRising ? (moves ? .reallocating : .backlog) : .turnover
        case .unknown: return isRising ? (moves ? .reallocating : .growing) : .steady
        }
    }

    /// Of the two estimates the more precise one.
    ///
    /// Survivors count only where they are nearly all of the group, since they do not see blocks that move. A few such
    /// blocks beside them are the storage of the collection that holds the others; what they grow by is added.
    private func bestRate(movingShare: Double, moving: Rate) -> Rate {
        guard let survivorRate else { return historyRate }
        let more = min(max(0, moving.value), survivorRate.value / 3)
        let error = (survivorRate.error * survivorRate.error + moving.error * moving.error).squareRoot()
        let whole = Rate(value: survivorRate.value + more, error: error)
        guard isRising else { return whole }
        let isWhole = survivors.coverage + movingShare >= 0.9 && movingShare <= 0.25
        return isWhole && whole.error <= historyRate.error ? whole : historyRate
    }
}

/// How fast the blocks that move grow, by their own history. Storage that doubles grows in jumps, all at about the same
/// time where all collections grow alike: its share of the live bytes tells what it grew by since the start, not lately.
private struct MovingGrowth {
    var rate = Rate(value: 0, error: 0)
    /// Share of the observed time before which growth does not count: a start is none.
    private static let start = 0.25

    init(of group: SiteGroup, duration: Double) {
        let sites = group.movingSites
        let points = LiveHistory(sites, duration: duration).points
        guard let first = points.last(where: { $0.time <= duration * Self.start }), let last = points.last,
            last.time > first.time
        else { return }
        let span = last.time - first.time
        let variance = sites.reduce(0) { $0 + $1.live.variance }
        rate = Rate(value: (last.value - first.value) / span, error: variance.squareRoot() / span)
    }
}
