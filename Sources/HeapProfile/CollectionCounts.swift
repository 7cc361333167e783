/// How many entries one collection had, time and again.
public struct CollectionCounts: Sendable, Equatable, Codable {
    /// Where it is: the variable that holds it, the type of the object that it is a part of.
    public var title: String
    /// `Dictionary`, `std::unordered_map`, …
    public var kind: String
    /// Some of many alike were counted, in place of all of them.
    public var isSample: Bool
    /// What it retained for each entry when it was found.
    public var bytesPerEntry: Double
    /// Seconds, and entries then; ascending, as many of each.
    public var times: [Double]
    public var counts: [Double]

    public init(
        title: String, kind: String, isSample: Bool = false, bytesPerEntry: Double, times: [Double] = [],
        counts: [Double] = []
    ) {
        self.title = title
        self.kind = kind
        self.isSample = isSample
        self.bytesPerEntry = bytesPerEntry
        self.times = times
        self.counts = counts
    }

    /// With times that many seconds later.
    public func shifted(by seconds: Double) -> CollectionCounts {
        var shifted = self
        shifted.times = times.map { $0 + seconds }
        return shifted
    }
}
