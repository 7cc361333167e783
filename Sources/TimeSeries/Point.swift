/// One measurement.
public struct Point: Sendable, Equatable, Codable {
    /// Seconds from any fixed origin.
    public var time: Double
    /// In whatever unit the series has; bytes, as a rule.
    public var value: Double

    public init(time: Double, value: Double) {
        self.time = time
        self.value = value
    }
}

extension Point {
    /// Neither NaN nor infinite, and so small that no slope, product or square of it overflows.
    var isUsable: Bool { abs(time) < 1e15 && abs(value) < 1e30 }
}

extension [Point] {
    /// The points that arithmetic can be done on, in order of time.
    func usable() -> [Point] {
        let sound = filter(\.isUsable)
        let isSorted = zip(sound, sound.dropFirst()).allSatisfy { $0.time <= $1.time }
        return isSorted ? sound : sound.sorted { $0.time < $1.time }
    }

    /// The lowest point of each run of neighbours, such that between `count` and 2 × `count` points remain.
    ///
    /// A service's memory is a sawtooth on a baseline, and only the baseline can leak: detectors that see the teeth
    /// raise a false alarm on every fourth flat series, those that see troughs do not.
    func troughs(about count: Int) -> [Point] {
        let run = Swift.max(1, self.count / Swift.max(1, count))
        guard run > 1 else { return self }
        return stride(from: 0, to: self.count, by: run).compactMap { first in
            self[first..<Swift.min(first + run, self.count)].min { $0.value < $1.value }
        }
    }
}
