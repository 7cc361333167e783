/// How a count grows to which entries are added all the time, as far as it is certain: in a line, by a hundred at least
/// and by a hundredth of what there is. Nil for all other series; a count that falls back time and again has troughs
/// that do not rise.
///
/// - Complexity: that of `estimateGrowth`.
public func risingCount(_ points: [Point]) -> Growth? {
    let growth = estimateGrowth(points)
    guard growth.pattern == .linear, growth.low > 0, let last = points.last else { return nil }
    return growth.perSecond * growth.risingTime(until: last.time) >= max(100, last.value / 100) ? growth : nil
}

extension Growth {
    /// Seconds for which it has grown as it does, at the time of the last point.
    public func risingTime(until last: Double) -> Double { onset.map { min(span, last - $0) } ?? span }
}
