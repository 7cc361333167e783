/// The count of one collection, or of several that are counted as one, at one moment.
public struct CollectionReading: Sendable, Hashable {
    /// What tells a collection from others, whoever holds it: that may change from one look at the heap to the next, as when a
    /// timer leads to a task that held it together with its stack.
    public struct Identity: Sendable, Hashable, Codable {
        public var kind: String
        /// Type of the object that it is a part of; nil where it is a variable's.
        public var owner: String?
        /// Of that part in the object, in bytes.
        public var offset: UInt64?
        /// Of a Swift collection's storage.
        public var type: String?
        /// Of a vector's or a deque's elements, where it is known: what is counted otherwise is another one.
        public var elementSize: UInt64?
        /// In the process; 0 for several, of which a sample is counted.
        public var address: UInt64

        public init(
            kind: String, owner: String? = nil, offset: UInt64? = nil, type: String? = nil, elementSize: UInt64? = nil,
            address: UInt64
        ) {
            self.kind = kind
            self.owner = owner
            self.offset = offset
            self.type = type
            self.elementSize = elementSize
            self.address = address
        }

        public var isSample: Bool { address == 0 }
    }

    public var identity: Identity
    /// Where it is: the variable that holds it, the type of the object that it is a part of.
    public var title: String
    /// The title says whose it is: at a moment when something else leads to it as well, nobody holds it alone.
    public var isHeld: Bool
    /// What it retained for each entry when it was found.
    public var bytesPerEntry: Double
    public var count: Double
    /// Of a sample that has just taken the place of another one: its count, to that one's at the same moment.
    public internal(set) var correction: Double?

    public init(identity: Identity, title: String, isHeld: Bool, bytesPerEntry: Double, count: Double) {
        self.identity = identity
        self.title = title
        self.isHeld = isHeld
        self.bytesPerEntry = bytesPerEntry
        self.count = count
    }

    public var kind: String { identity.kind }
}

extension [CollectionReading] {
    /// With several of one identity, in different hands, as one.
    public var merged: [CollectionReading] { Array(byIdentity.values) }

    /// With what each sample is off by that one of these takes the place of.
    ///
    /// - Parameter old: those samples, counted once more at the same moment.
    public func inPlace(of old: [CollectionReading]) -> [CollectionReading] {
        let before = old.byIdentity
        return merged.map { reading in
            guard reading.identity.isSample else { return reading }
            var reading = reading
            let old = before[reading.identity]?.count ?? 0
            reading.correction = old > 0 && reading.count > 0 ? reading.count / old : 1
            return reading
        }
    }

    private var byIdentity: [CollectionReading.Identity: CollectionReading] {
        Dictionary(map { ($0.identity, $0) }) { one, other in
            var sum = one
            sum.count += other.count
            let bytes = one.count * one.bytesPerEntry + other.count * other.bytesPerEntry
            if sum.count > 0 { sum.bytesPerEntry = bytes / sum.count }
            return sum
        }
    }
}
