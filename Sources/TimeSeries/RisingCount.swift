/// How a count grows to which entries are added all the time, as far as it is certain: in a line, by a hundred at least
/// and by a hundredth of what there is, for two minutes or half of the time. Nil for all other series; a count that falls
/// back time and again has troughs that do not rise. What goes up and down by chance is sure to look like a line once in a
/// while, but never gets far on its way: half of it must have been the rise (Kaufman's efficiency ratio).
///
/// - Complexity: that of `estimateGrowth`.
public func risingCount(_ points: [Point]) -> Growth? {
    let growth = estimateGrowth(points)
    guard growth.pattern == .linear, growth.low > 0, let last = points.last else { return nil }
    let isLong = growth.risingTime(until: last.time) >= min(120, growth.span / 2)
    let isLarge = growth.rise(until: last.time) >= max(100, last.value / 100)
    return isLong && isLarge && efficiency(points, since: growth.onset) >= 0.5 ? growth : nil
}

/// Of the way that a series' troughs, by which it is judged, have gone up and down since `onset`, or since its start, the
/// share by which they got further.
private func efficiency(_ points: [Point], since onset: Double?) -> Double {
    let values = points.usable().judged.drop { $0.time < onset ?? -.infinity }.map(\.value)
    guard let first = values.first, let last = values.last else { return 0 }
    let way = zip(values, values.dropFirst()).reduce(0) { $0 + abs($1.1 - $1.0) }
    return way > 0 ? (last - first) / way : 0
}

extension Growth {
    /// Seconds for which it has grown as it does, at the time of the last point.
    public func risingTime(until last: Double) -> Double { onset.map { min(span, last - $0) } ?? span }

    /// What it has added in that time.
    public func rise(until last: Double) -> Double { perSecond * risingTime(until: last) }

    /// Whether the rise to `count` is one of all that were to be counted. A sample of some dozens tells little of how many of
    /// their kind are cleared or die meanwhile: its rise has to be a quarter of what there is, a third of what there was.
    public func isCertain(to count: Double, until last: Double, isSample: Bool) -> Bool {
        !isSample || rise(until: last) >= count / 4
    }
}
