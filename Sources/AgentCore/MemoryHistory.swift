/// The memory of one process over any length of time, in bounded space.
///
/// Of each window the reading with the least memory is kept, since the baseline is what may leak; when the series is
/// full the window doubles. The newest reading is always there as well.
public struct MemoryHistory<Reading: Sendable>: Sendable {
    private let capacity: Int
    private let time: @Sendable (Reading) -> Double
    private let bytes: @Sendable (Reading) -> Double
    private var window: Double
    private var kept: [Reading] = []
    private var newest: Reading?

    public init(
        window: Double = 1, capacity: Int = 256, time: @escaping @Sendable (Reading) -> Double,
        bytes: @escaping @Sendable (Reading) -> Double
    ) {
        self.window = window
        self.capacity = max(2, capacity)
        self.time = time
        self.bytes = bytes
    }

    /// In order of time.
    public var readings: [Reading] {
        guard let newest, let last = kept.last, time(last) < time(newest) else { return kept }
        return kept + [newest]
    }

    /// A reading earlier than the ones before it, as after a clock was set back, is left out.
    public mutating func add(_ reading: Reading) {
        guard time(reading).isFinite, bytes(reading).isFinite else { return }
        if let newest, time(reading) < time(newest) { return }
        newest = reading
        place(reading)
        while kept.count > capacity {
            window *= 2
            let old = kept
            kept.removeAll(keepingCapacity: true)
            for reading in old { place(reading) }
        }
    }

    public mutating func removeAll() {
        kept.removeAll(keepingCapacity: true)
        newest = nil
    }

    private mutating func place(_ reading: Reading) {
        if let last = kept.last, (time(last) / window).rounded(.down) == (time(reading) / window).rounded(.down) {
            if bytes(reading) < bytes(last) { kept[kept.count - 1] = reading }
        } else {
            kept.append(reading)
        }
    }
}
