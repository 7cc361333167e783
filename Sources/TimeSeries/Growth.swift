/// What shape a series has, as the model that explains it best.
public enum GrowthPattern: String, Sendable, Codable {
    case flat
    /// Rises steadily, from the beginning or from `Growth.onset` on, and has not slowed down: what a leak does.
    case linear
    /// Rises ever more slowly: a warm-up, a cache that fills, logarithmic growth.
    case saturating
    /// Jumps from one level to another and stays there: a deploy, a table loaded late.
    case step
    case shrinking
    /// Fewer than 8 usable points, or all of them at one time: nothing can be said.
    case insufficient
}

/// How a series grows now.
public struct Growth: Sendable, Equatable, Codable {
    /// Slope in value per second: of the part from `onset` on where the pattern is linear, after the jump where it is
    /// a step, of the last third where it saturates, else of the part that was judged.
    public var perSecond: Double
    /// 95% interval of `perSecond`.
    public var low: Double
    public var high: Double
    public var pattern: GrowthPattern
    /// Share of the series' variance that the pattern explains, 0…1.
    public var fit: Double
    /// Time at which steady growth (`linear`) or the new level (`step`) began, where that is later than the first
    /// point; nil otherwise.
    public var onset: Double?
    /// Seconds from the first to the last point.
    public var span: Double

    public init(
        perSecond: Double, low: Double, high: Double, pattern: GrowthPattern, fit: Double = 0, onset: Double? = nil,
        span: Double = 0
    ) {
        self.perSecond = perSecond
        self.low = low
        self.high = high
        self.pattern = pattern
        self.fit = fit
        self.onset = onset
        self.span = span
    }
}
