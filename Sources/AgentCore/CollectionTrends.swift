import TimeSeries

/// A collection that rises all the time.
public struct RisingCount: Sendable, Equatable {
    public var reading: CollectionReading
    public var entriesPerSecond: Double
    public var bytesPerSecond: Double { entriesPerSecond * reading.bytesPerEntry }
}

/// The counts of a service's large collections over any length of time: 1 KiB each.
struct CollectionTrends: Sendable {
    private struct Trend {
        var reading: CollectionReading
        var counts = TroughSeries(capacity: 64)
        /// When the sample was drawn that is counted: as time goes by it stands for all of its kind less and less.
        var drawn: Double
        /// For how long it had risen when it was first seen to, as long as it has risen ever since.
        var risenSince: Double?
    }

    /// Where they are: the same address in another process is another one.
    private(set) var pid: Int32?
    private var trends: [CollectionReading.Identity: Trend] = [:]
    private var first: Double?
    /// Caches fill for a while.
    private static let leastTime = 120.0
    private var nextEstimate = 0.0

    /// Forgets what is not among `readings`.
    mutating func add(_ readings: [CollectionReading], of pid: Int32, _ now: Double) {
        if pid != self.pid { self = CollectionTrends(pid: pid) }
        first = first ?? now
        var next: [CollectionReading.Identity: Trend] = [:]
        for reading in readings.merged where reading.count.isFinite {
            var trend = trends[reading.identity] ?? Trend(reading: reading, drawn: now)
            if let correction = reading.correction {
                trend.counts.correct(since: trend.drawn, until: now, by: correction)
                trend.drawn = now
            }
            let known = trend.reading.title
            trend.reading = reading
            if !reading.isHeld { trend.reading.title = known }
            trend.counts.add(Point(time: now, value: reading.count))
            next[reading.identity] = trend
        }
        trends = next
    }

    var all: [(reading: CollectionReading, points: [Point])] { trends.values.map { ($0.reading, $0.counts.points) } }

    /// Of those that have added so many bytes and still rise after twice the time in which they were first seen to; judged
    /// every ten seconds, later once a minute.
    mutating func fastest(adding bytes: Double, _ now: Double) -> RisingCount? {
        guard now >= nextEstimate else { return nil }
        let span = now - (first ?? now)
        nextEstimate = now + max(10, min(60, span / 16))
        var fastest: RisingCount?
        for key in trends.keys {
            guard let rising = judge(key, adding: bytes, now) else { continue }
            if rising.bytesPerSecond > fastest?.bytesPerSecond ?? 0 { fastest = rising }
        }
        return fastest
    }

    private mutating func judge(_ key: CollectionReading.Identity, adding bytes: Double, _ now: Double) -> RisingCount?
    {
        guard let trend = trends[key], let growth = risingCount(trend.counts.points) else {
            trends[key]?.risenSince = nil
            return nil
        }
        let time = growth.risingTime(until: now)
        let first = trend.risenSince ?? time
        trends[key]?.risenSince = first
        let rising = RisingCount(reading: trend.reading, entriesPerSecond: growth.perSecond)
        let isLong = time >= max(2 * first, Self.leastTime)
        let isCertain = growth.isCertain(to: trend.reading.count, until: now, isSample: key.isSample)
        let isLarge = growth.rise(until: now) * trend.reading.bytesPerEntry >= bytes
        return isLong && isCertain && isLarge ? rising : nil
    }
}
