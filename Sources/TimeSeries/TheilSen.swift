/// A robust line through points: the median of the slopes of all pairs, with Sen's interval.
///
/// P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", JASA 63 (1968). Up to 29% of the points
/// may be arbitrarily wrong. Costs O(n² log n): callers reduce long series to troughs first.
struct TheilSen {
    var slope: Double
    /// 95% interval of `slope`, widened for autocorrelation and for known noise.
    var low: Double
    var high: Double
    /// Value of the line at time 0.
    var intercept: Double

    /// Nil with fewer than two times that are a nanosecond or more apart.
    ///
    /// - Parameter points: usable ones, in order of time.
    init?(_ points: [Point], noise: Double = 0) {
        var slopes: [Double] = []
        slopes.reserveCapacity(points.count * points.count / 2)
        for (i, first) in points.enumerated() {
            for second in points[(i + 1)...] where second.time - first.time >= 1e-9 {
                slopes.append((second.value - first.value) / (second.time - first.time))
            }
        }
        guard !slopes.isEmpty else { return nil }
        slopes.sort()
        slope = median(sorted: slopes)
        let slope = slope
        intercept = median(sorted: points.map { $0.value - slope * $0.time }.sorted())
        let intercept = intercept
        let residuals = points.map { $0.value - slope * $0.time - intercept }
        let n = Double(points.count)
        // Variance of Kendall's S without ties, times what autocorrelation adds to it.
        let inflation = n / effectiveCount(of: residuals)
        let reach = 1.96 * (n * (n - 1) * (2 * n + 5) / 18 * inflation).squareRoot()
        let pairs = Double(slopes.count)
        let last = slopes.count - 1
        low = slopes[max(0, Int(((pairs - reach) / 2).rounded(.down)))]
        high = slopes[min(last, Int(max(0, (pairs + reach) / 2).rounded(.up)))]
        // Values that rest on few samples can agree by chance; their known error bounds the slope's from below.
        // π/3 is the loss of Theil–Sen against least squares under Gaussian noise.
        let spread = sumOfSquares(around: points.map(\.time))
        let error = spread > 0 ? 1.96 * (.pi / 3 * noise * noise / spread).squareRoot() : 0
        low = min(low, slope - error)
        high = max(high, slope + error)
    }

    func value(at time: Double) -> Double { intercept + slope * time }
}

/// The middle of a sorted, non-empty list.
func median(sorted values: [Double]) -> Double {
    let middle = values.count / 2
    return values.count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
}

/// Sum of squared distances from the mean.
func sumOfSquares(around values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let mean = values.reduce(0, +) / Double(values.count)
    return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
}

/// How many independent values a series of residuals is worth: n (1 − ρ) / (1 + ρ) with the lag-one autocorrelation ρ.
///
/// The estimate of ρ is about (1 + 4ρ) / n too low (Marriott and Pope, Biometrika 41, 1954), which is mended here;
/// a negative one is not believed.
func effectiveCount(of residuals: [Double]) -> Double {
    let n = Double(residuals.count)
    guard n > 5 else { return n }
    let total = residuals.reduce(0) { $0 + $1 * $1 }
    guard total > 0 else { return n }
    let lagged = zip(residuals, residuals.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }
    let corrected = (lagged / total * n + 1) / (n - 4)
    let rho = min(max(corrected, 0), 0.8)
    return max(2, n * (1 - rho) / (1 + rho))
}
