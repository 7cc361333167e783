/// Whether a series grows, how fast, and in what shape.
///
/// The baseline (troughs of about 24 runs of points) is given the shape that explains it best by Schwarz's criterion.
/// A series is called `linear` only where a line does better than a warm-up, a jump or a logarithm, where the robust
/// slope's 95% interval is above 0, and where the last third rises at least half as fast as the whole: the tests that
/// keep warm-ups and deploys from raising alarms. A start-up phase or a flat time before the growth is cut off, and
/// `onset` then says where the growth began.
///
/// - Parameters:
///   - points: best in order of time, and 256 at most; those that are no finite numbers are left out.
///   - noise: known standard deviation of each value, such as sampling brings. 0: judged from the points alone.
/// - Complexity: O(n) in the points, plus 0.1–0.2 ms.
public func estimateGrowth(_ points: [Point], noise: Double = 0) -> Growth {
    let usable = points.usable()
    guard let first = usable.first, let last = usable.last, usable.count >= 8, last.time - first.time >= 1e-6 else {
        return Growth(perSecond: 0, low: 0, high: 0, pattern: .insufficient)
    }
    let noise = noise > 0 && noise < 1e30 ? noise : 0
    return Baseline(points: usable.judged, noise: noise).growth(span: last.time - first.time)
}

extension [Point] {
    /// The baseline by which growth is judged.
    var judged: [Point] { troughs(about: 24) }
}

/// Troughs that are being judged: at least 8, in order of time.
private struct Baseline {
    var points: [Point]
    var noise: Double

    func growth(span: Double) -> Growth {
        var growth = shape()
        growth.span = span
        return growth
    }

    private func shape() -> Growth {
        guard let start = points.first?.time, let end = points.last?.time, end > start else {
            return Growth(perSecond: 0, low: 0, high: 0, pattern: .insufficient)
        }
        let values = points.map(\.value)
        let base = values.min() ?? 0
        let range = (values.max() ?? 0) - base
        guard range > 0 else { return slope(of: points[...], pattern: .flat, fit: 1) }
        let regression = Regression(
            times: points.map { ($0.time - start) / (end - start) }, values: values.map { ($0 - base) / range })
        let (model, fit) = best(of: regression, variance: noise * noise / range / range)
        return growth(of: model, fit: fit, start: start, length: end - start)
    }

    /// The shape with the lowest criterion, and the share of the variance that it explains.
    private func best(of regression: Regression, variance: Double) -> (Model, Double) {
        let fits = regression.fits()
        let closest = fits.min { $0.meanSquare < $1.meanSquare } ?? fits[0]
        let count = effectiveCount(of: regression.residuals(of: closest))
        // Rounding leaves a perfect fit a residue; without a floor its logarithm would decide between equals.
        let floor = max(variance, 1e-12)
        let model =
            fits.min { $0.criterion(count: count, variance: floor) < $1.criterion(count: count, variance: floor) }
            ?? closest
        let whole = fits[0].meanSquare
        return (model, whole > 0 ? 1 - min(1, model.meanSquare / whole) : 1)
    }

    private func growth(of model: Model, fit: Double, start: Double, length: Double) -> Growth {
        if model.isNearlyALine { return judge(points[...], onset: nil, fit: fit) }
        let change = start + model.parameter * length
        let after = points.drop { $0.time < change }
        switch model.shape {
        case .level:
            return slope(of: points[...], pattern: .flat, fit: fit)
        case .line:
            return judge(points[...], onset: nil, fit: fit)
        case .hinge, .rampAndLine:
            return judge(after, onset: change, fit: fit)
        case .stepAndLine:
            let before = points.prefix { $0.time < change }
            return after.count >= before.count
                ? judge(after, onset: after.first?.time, fit: fit) : judge(before, onset: nil, fit: fit)
        case .exponentialAndLine:
            let settled = points.drop { $0.time < start + 4 * model.parameter * length }
            return judge(settled, onset: settled.first?.time, fit: fit)
        case .step:
            // A last few points, such as of a heap that is taken down, have no slope of their own.
            return slope(
                of: after.count >= 4 ? after : points[...], pattern: model.curve > 0 ? .step : .shrinking, fit: fit,
                onset: change)
        case .ramp, .exponential, .logarithm:
            let pattern: GrowthPattern = model.curve > 0 ? .saturating : .shrinking
            return slope(of: lastThird(of: points[...]), pattern: pattern, fit: fit)
        }
    }

    /// The pattern of a part that a line explains best.
    private func judge(_ part: ArraySlice<Point>, onset: Double?, fit: Double) -> Growth {
        let whole = slope(of: part, pattern: .linear, fit: fit, onset: onset)
        if whole.high < 0 { return with(whole, .shrinking) }
        guard whole.low > 0 else { return with(whole, .flat) }
        let end = lastThird(of: part)
        guard let late = TheilSen(Array(end)), late.slope < whole.perSecond / 2, late.high < whole.perSecond else {
            return whole
        }
        return with(whole, .saturating)
    }

    private func with(_ growth: Growth, _ pattern: GrowthPattern) -> Growth {
        var growth = growth
        growth.pattern = pattern
        growth.onset = nil
        return growth
    }

    private func lastThird(of part: ArraySlice<Point>) -> ArraySlice<Point> { part.suffix(max(4, part.count / 3)) }

    private func slope(
        of part: ArraySlice<Point>, pattern: GrowthPattern, fit: Double, onset: Double? = nil
    ) -> Growth {
        let line = TheilSen(Array(part), noise: noise)
        return Growth(
            perSecond: line?.slope ?? 0, low: line?.low ?? 0, high: line?.high ?? 0, pattern: pattern, fit: fit,
            onset: onset)
    }
}
