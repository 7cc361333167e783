import Algorithms
import HeapProfile

/// A rate in bytes per second with its standard error.
struct Rate: Sendable, Equatable {
    var value: Double
    var error: Double

    var low: Double { value - 1.96 * error }
    var high: Double { value + 1.96 * error }
}

/// What the ages of live blocks tell, from one profile alone.
///
/// By Little's law the healthy part of a site's live bytes is arrival rate × lifetime. Blocks that are older than
/// nearly all that this site ever freed are not waiting to be freed: they were left behind, and how their births are
/// spread over time says since when and how fast.
struct Survivors: Sendable, Equatable {
    enum Births: Sendable, Equatable {
        /// Too few, or this site's blocks live so long that the observed time is too short to tell.
        case unknown
        /// Nothing outlives what is freed here.
        case none
        /// At the beginning, and then no more.
        case early
        /// Ever fewer.
        case fading
        /// All the time, from `onset` on; `even` if a steady stream explains them.
        case spread(Rate, onset: Double, even: Bool)
    }

    var births = Births.unknown
    /// Blocks older than this are survivors; 0 where next to nothing is freed. In seconds.
    var cutoff = 0.0
    var bytes = 0.0
    var samples = 0
    /// Share of the live bytes whose ages could be judged.
    var coverage = 0.0

    /// Share of the observed time in which births are judged, at least; later ones may still be freed. Below one half
    /// too few blocks can have grown old enough to show whether they are freed then.
    private static let shortestHorizon = 0.5
    private static let fewest = 5

    init() {}

    init(of group: SiteGroup, duration: Double) {
        guard duration > 0 else { return }
        var horizon = duration
        var judged: [ArraySlice<LiveSample>] = []
        var judgedBytes = 0.0
        for (site, samples) in zip(group.sites, group.samples) where !site.movesToLargerBlocks {
            let lifetimes = Lifetimes(site.lifetimes, live: samples.count)
            let end = duration - lifetimes.cutoff
            guard end >= duration * Self.shortestHorizon else { continue }
            judgedBytes += site.live.bytes
            let old = samples.prefix { $0.birth <= end }
            guard lifetimes.areOutlived(by: old.count) else { continue }
            judged.append(old)
            cutoff = max(cutoff, lifetimes.cutoff)
            horizon = min(horizon, end)
        }
        coverage = group.live.bytes > 0 ? (judgedBytes / group.live.bytes).clamped(to: 0...1) : 0
        let old = judged.flatMap { $0.prefix { $0.birth <= horizon } }.sorted { $0.birth < $1.birth }
        samples = old.count
        bytes = old.reduce(0) { $0 + $1.bytes }
        births = judge(old, horizon: horizon)
    }

    private func judge(_ old: [LiveSample], horizon: Double) -> Births {
        guard old.count >= Self.fewest else { return coverage >= 0.9 ? .none : .unknown }
        let process = BirthProcess(old, horizon: horizon)
        let whole = process.rate(from: 0).value
        let late = process.rate(from: horizon * 2 / 3)
        guard late.value >= whole * 0.1 else { return .early }
        if let onset = process.steadyOnset() {
            // A burst at the start may precede a steady stream; a stream that only the newer half shows may as well
            // be the end of one that runs dry.
            let rate = process.rate(from: onset)
            if onset <= horizon / 4 || rate.value >= whole / 2 { return .spread(rate, onset: onset, even: true) }
        }
        guard late.value + 1.64 * late.error >= whole / 2 else { return .fading }
        return .spread(process.unevenRate(), onset: 0, even: false)
    }
}

/// How long the freed blocks of a site had lived.
private struct Lifetimes {
    /// At most 1% of the site's blocks were freed later than at this age, in seconds.
    var cutoff = 0.0
    private var freedLater = 0.0

    /// - Parameter octaves: counts; [i] below 2^(20+i) ns.
    init(_ octaves: [UInt32], live: Int) {
        let freed = octaves.reduce(0.0) { $0 + Double($1) }
        let tolerated = (freed + Double(live)) / 100
        freedLater = freed
        for (index, count) in octaves.prefix(40).enumerated() where freedLater > tolerated {
            freedLater -= Double(count)
            cutoff = Double(UInt64(1) << UInt64(20 + index)) / 1e9
        }
    }

    /// Of those that grew older than the cutoff, most are alive. Else the ages have a long tail, and what is old now
    /// will be freed as well.
    func areOutlived(by survivors: Int) -> Bool { Double(survivors) > 2 * freedLater }
}

/// Births of survivors as a stream in time, judged by what sampling error allows.
private struct BirthProcess {
    private let samples: [LiveSample]
    private let horizon: Double
    /// [i]: bytes and variance of the samples before i.
    private let bytesBefore: [Double]
    private let varianceBefore: [Double]

    init(_ samples: [LiveSample], horizon: Double) {
        self.samples = samples
        self.horizon = horizon
        bytesBefore = samples.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.bytes) }
        varianceBefore = samples.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.variance) }
    }

    /// Bytes per second born from `start` up to the horizon.
    func rate(from start: Double) -> Rate {
        let span = horizon - start
        guard span > 0 else { return Rate(value: 0, error: 0) }
        let first = index(of: start)
        let bytes = bytesBefore[samples.count] - bytesBefore[first]
        let variance = varianceBefore[samples.count] - varianceBefore[first]
        return Rate(value: bytes / span, error: max(0, variance).squareRoot() / span)
    }

    /// Since when the births are even: the earliest of nine starts within the older half from which on they are, moved
    /// to the first birth there. No traffic is perfectly steady, so that with many samples more is let pass.
    func steadyOnset() -> Double? { steadyOnset(tolerance: 0.02) ?? steadyOnset(tolerance: 0.1) }

    private func steadyOnset(tolerance: Double) -> Double? {
        for step in 0...8 {
            let start = horizon * Double(step) / 16
            let first = index(of: start)
            let count = Double(samples.count - first)
            guard count >= 5 else { return nil }
            let birth = samples[first].birth
            let onset = max(start, birth - (horizon - birth) / count)
            if isEven(from: first, onset: onset, tolerance: tolerance) { return onset }
        }
        return nil
    }

    /// The rate where births come in waves: the whole, as uncertain as its halves differ.
    func unevenRate() -> Rate {
        var rate = rate(from: 0)
        let late = self.rate(from: horizon / 2)
        rate.error += abs(late.value - rate.value) / 1.96
        return rate
    }

    /// Kolmogorov's test at 1%, in bytes, with the number of equal samples that the unequal ones are worth.
    private func isEven(from first: Int, onset: Double, tolerance: Double) -> Bool {
        let total = bytesBefore[samples.count] - bytesBefore[first]
        let span = horizon - onset
        guard total > 0, span > 0 else { return false }
        var distance = 0.0
        var squares = 0.0
        for index in first..<samples.count {
            let expected = (samples[index].birth - onset) / span
            let before = (bytesBefore[index] - bytesBefore[first]) / total
            let after = (bytesBefore[index + 1] - bytesBefore[first]) / total
            distance = max(distance, abs(expected - before), abs(expected - after))
            squares += (after - before) * (after - before)
        }
        return distance <= max(tolerance, 1.63 * squares.squareRoot())
    }

    /// Of the first sample born at `time` or later.
    private func index(of time: Double) -> Int { samples.partitioningIndex { $0.birth >= time } }
}
