internal import Glibc  // exp and log, nothing else

/// A least-squares fit of one of the shapes that memory takes: a level, plus at most one curve, plus at most a line.
struct Model {
    enum Shape: CaseIterable {
        case level, line
        /// Flat, then a line from the parameter on; and a line up to the parameter, then flat, as a cache fills.
        case hinge, ramp
        case step, exponential, logarithm
        /// A start-up phase with a line underneath.
        case stepAndLine, rampAndLine, exponentialAndLine
    }

    var shape: Shape
    /// Where the change is (`hinge`, `ramp`, `step`) or the time constant (`exponential`, `logarithm`), as a share of
    /// the span.
    var parameter: Double
    /// Sizes of the curve and of the line, 0 where the shape has none.
    var curve: Double
    var slope: Double
    /// Mean of the squared residuals.
    var meanSquare: Double

    /// Its start-up phase is next to nothing beside what the line adds: where the noise is small, any kink is one.
    var isNearlyALine: Bool { shape.isCompound && abs(curve) < 0.03 * abs(slope) }

    /// The criterion of Schwarz, corrected for short series (McQuarrie, Statistics & Probability Letters 44, 1999):
    /// lower is better.
    ///
    /// - Parameters:
    ///   - count: how many independent values the series is worth.
    ///   - variance: of each value, where known; a fit closer than that proves nothing.
    func criterion(count: Double, variance: Double) -> Double {
        let freedom = Double(shape.freedom)
        let penalty = freedom * log(count) * count / max(1, count - freedom - 2)
        return count * log(max(meanSquare, variance)) + penalty + shape.handicap
    }
}

extension Model.Shape {
    /// Numbers that a fit chooses, besides the size of the noise. A change point counts as two: with so many places to
    /// choose from, one of them fits noise well (Zhang and Siegmund, Biometrics 63, 2007).
    fileprivate var freedom: Int {
        switch self {
        case .level: 1
        case .line: 2
        case .exponential, .logarithm: 3
        case .hinge, .ramp, .step, .exponentialAndLine: 4
        case .stepAndLine, .rampAndLine: 5
        }
    }

    /// Growth beneath a start-up phase imitates a logarithm well: it takes very strong evidence (a difference of 10 on
    /// the scale of Kass and Raftery, "Bayes Factors", JASA 90, 1995) to be preferred.
    fileprivate var handicap: Double { isCompound ? 10 : 0 }

    fileprivate var isCompound: Bool { self == .stepAndLine || self == .rampAndLine || self == .exponentialAndLine }

    fileprivate var hasLine: Bool { self == .line || isCompound }

    fileprivate var hasCurve: Bool { self != .level && self != .line }

    /// The fit changes smoothly with the parameter, so that it pays to look between the grid's points.
    fileprivate var isSmooth: Bool { self != .step && self != .stepAndLine }

    fileprivate func curve(at time: Double, parameter: Double) -> Double {
        switch self {
        case .level, .line: 0
        case .hinge: max(0, time - parameter)
        case .ramp, .rampAndLine: min(time, parameter)
        case .step, .stepAndLine: time < parameter ? 0 : 1
        case .exponential, .exponentialAndLine: 1 - exp(-time / parameter)
        case .logarithm: log(1 + time / parameter)
        }
    }

    /// Parameters to try.
    fileprivate func grid(_ times: [Double]) -> [Double] {
        // What comes after a change of slope needs enough points to be more than an outlier at the end.
        let margin = max(4, times.count / 5)
        switch self {
        case .level, .line: return [0]
        case .hinge: return Array(times.dropFirst(margin - 1).dropLast(margin))
        case .ramp, .rampAndLine: return Array(times.dropFirst(2).dropLast(margin))
        case .step, .stepAndLine: return zip(times, times.dropFirst()).dropFirst().dropLast().map { ($0 + $1) / 2 }
        // A time constant beyond the span looks like a line, and more so the larger it is.
        case .exponential: return geometric(from: 0.02, to: 1, count: 20)
        case .logarithm: return geometric(from: 1e-4, to: 1, count: 20)
        // Over (after four time constants) while a third of the line is still to come.
        case .exponentialAndLine: return geometric(from: 0.02, to: 0.16, count: 12)
        }
    }

    private func geometric(from first: Double, to last: Double, count: Int) -> [Double] {
        (0..<count).map { first * exp(log(last / first) * Double($0) / Double(count - 1)) }
    }
}

/// A series to be fitted, and the sums that all fits share, so that one fit costs one pass over the points.
struct Regression {
    private let times: [Double]
    private let values: [Double]
    private let meanTime: Double
    private let meanValue: Double
    /// Sums of products of the centred times and values.
    private var tt = 0.0
    private var ty = 0.0
    private var yy = 0.0

    /// - Parameters: `times` rise from 0 to 1, `values` lie in 0…1; both have the same count, at least 8.
    init(times: [Double], values: [Double]) {
        self.times = times
        self.values = values
        meanTime = times.reduce(0, +) / Double(times.count)
        meanValue = values.reduce(0, +) / Double(values.count)
        for i in times.indices {
            let (t, y) = (times[i] - meanTime, values[i] - meanValue)
            tt += t * t
            ty += t * y
            yy += y * y
        }
    }

    /// The best fit of every shape.
    func fits() -> [Model] { Model.Shape.allCases.compactMap(best) }

    /// The grid's best parameter; between its neighbours a finer grid follows where that can do better.
    private func best(_ shape: Model.Shape) -> Model? {
        let grid = shape.grid(times)
        let coarse = grid.map { fit(shape, $0) }
        guard let best = coarse.indices.min(by: { coarse[$0].meanSquare < coarse[$1].meanSquare }) else { return nil }
        guard shape.hasCurve && shape.isSmooth else { return coarse[best] }
        let (low, high) = (grid[max(0, best - 1)], grid[min(grid.count - 1, best + 1)])
        let fine = (1..<8).map { fit(shape, low + (high - low) * Double($0) / 8) }
        return (fine + [coarse[best]]).min { $0.meanSquare < $1.meanSquare }
    }

    /// Least squares through the normal equations, the level and then the line taken out of the curve first.
    private func fit(_ shape: Model.Shape, _ parameter: Double) -> Model {
        var (g, gg, gt, gy) = (0.0, 0.0, 0.0, 0.0)
        if shape.hasCurve {
            for i in times.indices {
                let curve = shape.curve(at: times[i], parameter: parameter)
                g += curve
                gg += curve * curve
                gt += curve * (times[i] - meanTime)
                gy += curve * (values[i] - meanValue)
            }
        }
        let count = Double(times.count)
        let scale = gg
        gg -= g * g / count
        var (rest, slope) = (yy, 0.0)
        let share = shape.hasLine && tt > 0 ? gt / tt : 0
        if shape.hasLine && tt > 0 {
            gg -= gt * share
            gy -= ty * share
            slope = ty / tt
            rest -= ty * slope
        }
        // A curve that hardly differs from a level and a line has no size of its own.
        let size = gg > 1e-12 * scale ? gy / gg : 0
        rest -= size * gy
        return Model(
            shape: shape, parameter: parameter, curve: size, slope: slope - size * share,
            meanSquare: max(0, rest) / count)
    }

    /// What `model` leaves of the values.
    func residuals(of model: Model) -> [Double] {
        let fitted = times.map {
            model.curve * model.shape.curve(at: $0, parameter: model.parameter) + model.slope * $0
        }
        let level = meanValue - fitted.reduce(0, +) / Double(fitted.count)
        return zip(values, fitted).map { $0 - $1 - level }
    }
}
