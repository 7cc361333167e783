import HeapProfile
import TimeSeries

/// A collection to which entries are added all the time, and from which none are taken.
public struct RisingCollection: Sendable, Codable, Equatable {
    /// Where it is: the variable that holds it, the type of the object that it is a part of.
    public var title: String
    public var kind: String
    /// At the last count.
    public var count: Double
    /// With a 95% interval.
    public var entriesPerSecond: Double
    public var low: Double
    public var high: Double
    /// When it was found.
    public var bytesPerEntry: Double
    /// For which it was counted.
    public var seconds: Double

    public var bytesPerSecond: Double { entriesPerSecond * bytesPerEntry }

    package init(
        title: String, kind: String, count: Double, entriesPerSecond: Double, low: Double, high: Double,
        bytesPerEntry: Double, seconds: Double
    ) {
        self.title = title
        self.kind = kind
        self.count = count
        self.entriesPerSecond = entriesPerSecond
        self.low = low
        self.high = high
        self.bytesPerEntry = bytesPerEntry
        self.seconds = seconds
    }
}

extension RisingCollection {
    /// By bytes a second.
    static func rising(_ counts: [CollectionCounts]) -> [RisingCollection] {
        counts.compactMap(RisingCollection.init)
            .sorted { ($0.bytesPerSecond, $1.title) > ($1.bytesPerSecond, $0.title) }
    }

    private init?(_ counts: CollectionCounts) {
        let points = zip(counts.times, counts.counts).map { Point(time: $0, value: $1) }
        guard let growth = risingCount(points), let last = points.last,
            growth.isCertain(to: last.value, until: last.time, isSample: counts.isSample)
        else { return nil }
        self.init(
            title: counts.title, kind: counts.kind, count: last.value, entriesPerSecond: growth.perSecond,
            low: growth.low, high: growth.high, bytesPerEntry: counts.bytesPerEntry.sound, seconds: growth.span)
    }
}
