/// The count of one collection, or of several that are counted as one, at one moment.
public struct CollectionReading: Sendable, Hashable {
    /// Where it is: the variable that holds it, the type of the object that it is a part of.
    public var title: String
    public var kind: String
    /// Type of the object that it is a part of; nil where it is a variable's.
    public var owner: String?
    /// In the process; 0 for several.
    public var address: UInt64
    /// What it retained for each entry when it was found.
    public var bytesPerEntry: Double
    public var count: Double
    /// Of a sample that another one has just taken the place of: what it had to be multiplied by at last.
    public var correction: Double

    public init(
        title: String, kind: String, owner: String? = nil, address: UInt64, bytesPerEntry: Double, count: Double,
        correction: Double = 1
    ) {
        self.title = title
        self.kind = kind
        self.owner = owner
        self.address = address
        self.bytesPerEntry = bytesPerEntry
        self.count = count
        self.correction = correction
    }
}

extension CollectionReading {
    /// One collection is known by where it lies, whoever holds it; several by what they are called.
    struct Identity: Hashable {
        var title: String?
        var kind: String
        var address: UInt64
    }

    var identity: Identity { Identity(title: isSample ? title : nil, kind: kind, address: address) }

    fileprivate var isSample: Bool { address == 0 }

    /// What those have in common that may be in one hand now, and in another's later.
    fileprivate struct Part: Hashable {
        var kind: String
        var owner: String?
    }

    fileprivate var part: Part { Part(kind: kind, owner: owner) }
}

extension [CollectionReading] {
    /// With what samples are off by, which were drawn once more since `old` was counted with those before them.
    ///
    /// They stand for all of a part that are in one hand. Whose that is may change from one look to the next, as when a timer
    /// leads to a task that held them together with its stack: what others of the part have lost is no growth.
    public func corrected(after old: [CollectionReading]) -> [CollectionReading] {
        let (before, after) = (old.byIdentity, byIdentity)
        var gains: [CollectionReading.Part: Double] = [:]
        var losses: [CollectionReading.Part: Double] = [:]
        for reading in before.merging(after, uniquingKeysWith: { $1 }).values {
            let change = (after[reading.identity]?.count ?? 0) - (before[reading.identity]?.count ?? 0)
            gains[reading.part, default: 0] += Swift.max(0, change)
            losses[reading.part, default: 0] += Swift.max(0, -change)
        }
        return after.values.map { reading in
            guard reading.isSample, reading.count > 0, let old = before[reading.identity]?.count, old > 0,
                let gain = gains[reading.part], let loss = losses[reading.part]
            else { return reading }
            let change = reading.count - old
            let moved = change == 0 ? 0 : change * Swift.min(gain, loss) / (change > 0 ? gain : loss)
            var reading = reading
            reading.correction = (reading.count - moved) / old
            return reading
        }
    }

    /// Samples of one name and kind are one.
    public var merged: [CollectionReading] { Array(byIdentity.values) }

    private var byIdentity: [CollectionReading.Identity: CollectionReading] {
        Dictionary(map { ($0.identity, $0) }) { one, other in
            var sum = one
            sum.count += other.count
            if sum.count > 0 {
                sum.bytesPerEntry =
                    (one.count * one.bytesPerEntry + other.count * other.bytesPerEntry) / sum.count
            }
            return sum
        }
    }
}
