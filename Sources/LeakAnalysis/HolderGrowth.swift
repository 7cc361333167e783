public import HeapProfile

/// Something that holds memory, at two looks at the heap of one process.
public protocol HeldGrowth {
    /// Now.
    var retainedBytes: UInt64 { get }
    var retainedBytesBefore: UInt64 { get }
    /// Of its collection, now and then; nil where it has none.
    var count: UInt64? { get }
    var countBefore: UInt64? { get }
    /// Between the two looks.
    var seconds: Double { get }
}

extension HeldGrowth {
    public var bytesPerSecond: Double { (Double(retainedBytes) - Double(retainedBytesBefore)) / seconds }
    /// Nil without a collection.
    public var entriesPerSecond: Double? {
        guard let count, let countBefore else { return nil }
        return (Double(count) - Double(countBefore)) / seconds
    }
    /// What each entry that came retains; nil where none did, and where it would be more than ten times what all of them
    /// retain on average: then those that were there grew.
    public var bytesPerEntry: Double? {
        guard let entriesPerSecond, entriesPerSecond > 0, bytesPerSecond > 0, let count else { return nil }
        let bytes = bytesPerSecond / entriesPerSecond
        return bytes * Double(count) <= 10 * Double(retainedBytes) ? bytes : nil
    }

    /// `1.2 MiB/s, 8,123 entries a second of 155 B`
    package var text: String {
        let rate = Figures.rate(bytesPerSecond)
        guard let entriesPerSecond, let bytesPerEntry else { return rate }
        return
            "\(rate), \(Figures.decimal(entriesPerSecond, places: 1)) entries a second of \(Figures.bytes(bytesPerEntry))"
    }
}

/// How a root grew between two looks at the heap of one process.
public struct HolderGrowth: HeldGrowth, Sendable, Codable, Equatable {
    /// As it is now.
    public var root: HeapSurvey.Root
    public var retainedBytesBefore: UInt64
    public var countBefore: UInt64?
    public var seconds: Double

    public var retainedBytes: UInt64 { root.retainedBytes }
    public var count: UInt64? { root.container?.count }

    package init(root: HeapSurvey.Root, retainedBytesBefore: UInt64, countBefore: UInt64?, seconds: Double) {
        self.root = root
        self.retainedBytesBefore = retainedBytesBefore
        self.countBefore = countBefore
        self.seconds = seconds
    }
}

/// How a collection grew between two looks at the heap of one process.
public struct CollectionGrowth: HeldGrowth, Sendable, Codable, Equatable {
    /// As it is now.
    public var collection: HeapSurvey.Collection
    /// Where it is: the variable that holds it, the type of the object that it is a part of.
    public var title: String
    public var retainedBytesBefore: UInt64
    public var countBefore: UInt64?
    public var seconds: Double

    public var retainedBytes: UInt64 { collection.retainedBytes }
    public var count: UInt64? { collection.container.count }
}

/// An earlier look at the same process.
public struct EarlierSurvey: Sendable {
    public var heap: HeapSurvey
    /// From then till now, more than 0.
    public var seconds: Double

    public init(heap: HeapSurvey, seconds: Double) {
        self.heap = heap
        self.seconds = seconds
    }

    var isComparable: Bool { seconds > 0 && seconds < 1e12 }
}

extension CollectionGrowth {
    /// The collections that have more entries than before, by bytes a second. What they are a part of has not moved.
    static func growing(_ heap: HeapSurvey?, since earlier: EarlierSurvey?) -> [CollectionGrowth] {
        guard let heap, let earlier, earlier.isComparable else { return [] }
        let before = Dictionary(grouping: earlier.heap.collections) { Identity($0, in: earlier.heap) }
        return heap.collections.compactMap { collection -> CollectionGrowth? in
            guard let same = before[Identity(collection, in: heap)], same.count == 1, let old = same.first,
                collection.container.count > old.container.count
            else { return nil }
            return CollectionGrowth(
                collection: collection, title: heap.title(of: collection), retainedBytesBefore: old.retainedBytes,
                countBefore: old.container.entries, seconds: earlier.seconds)
        }
        .sorted { ($0.bytesPerSecond, $1.title) > ($1.bytesPerSecond, $0.title) }
    }

    private struct Identity: Hashable {
        var kind: String
        var type: String?
        var title: String
        var offset: UInt64?
        /// Of many, others may be the first ones by now.
        var address: UInt64?

        init(_ collection: HeapSurvey.Collection, in heap: HeapSurvey) {
            kind = collection.container.kind
            type = collection.type
            title = heap.title(of: collection)
            offset = collection.offset
            address = collection.instances == 1 ? collection.addresses.first : nil
        }
    }
}

extension HolderGrowth {
    /// Below this share of the heap nobody cares.
    private static let smallestShare = 0.001

    /// The variables whose retained bytes or whose collection grew, by bytes a second. What has no name, or one that
    /// several variables share, is not compared.
    static func growing(_ heap: HeapSurvey?, since earlier: EarlierSurvey?) -> [HolderGrowth] {
        guard let heap, let earlier, earlier.isComparable else { return [] }
        let before = Dictionary(grouping: earlier.heap.roots.filter(\.isNamed), by: Identity.init)
        let now = Dictionary(grouping: heap.roots.filter(\.isNamed), by: Identity.init)
        let least = Double(heap.bytes) * smallestShare
        return now.compactMap { identity, roots -> HolderGrowth? in
            guard roots.count == 1, let old = before[identity], old.count == 1 else { return nil }
            let isSameCollection = roots[0].container?.kind == old[0].container?.kind
            let growth = HolderGrowth(
                root: roots[0], retainedBytesBefore: old[0].retainedBytes,
                countBefore: isSameCollection ? old[0].container?.entries : nil, seconds: earlier.seconds)
            return growth.bytesPerSecond * growth.seconds >= least ? growth : nil
        }
        .sorted { ($0.bytesPerSecond, $1.root.name) > ($1.bytesPerSecond, $0.root.name) }
    }

    /// Addresses differ from one start to the next.
    private struct Identity: Hashable {
        var kind: HeapSurvey.Root.Kind
        var name: String
        var module: String
        var thread: Int32?

        init(_ root: HeapSurvey.Root) {
            kind = root.kind
            name = root.name
            module = root.module
            thread = root.thread
        }
    }
}
