public import HeapProfile

/// How a root grew between two looks at the heap of one process.
public struct HolderGrowth: Sendable, Codable, Equatable {
    /// As it is now.
    public var root: HeapSurvey.Root
    public var retainedBytesBefore: UInt64
    /// Of its collection; nil where it has none.
    public var countBefore: UInt64?
    /// Between the two looks.
    public var seconds: Double

    package init(root: HeapSurvey.Root, retainedBytesBefore: UInt64, countBefore: UInt64?, seconds: Double) {
        self.root = root
        self.retainedBytesBefore = retainedBytesBefore
        self.countBefore = countBefore
        self.seconds = seconds
    }

    public var bytesPerSecond: Double { (Double(root.retainedBytes) - Double(retainedBytesBefore)) / seconds }
    /// Nil without a collection.
    public var entriesPerSecond: Double? {
        guard let count = root.container?.count, let countBefore else { return nil }
        return (Double(count) - Double(countBefore)) / seconds
    }
    /// What each entry that came retains; nil where none did.
    public var bytesPerEntry: Double? {
        guard let entriesPerSecond, entriesPerSecond > 0, bytesPerSecond > 0 else { return nil }
        return bytesPerSecond / entriesPerSecond
    }
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
}

extension HolderGrowth {
    /// Below this share of the heap nobody cares.
    private static let smallestShare = 0.001

    /// The variables whose retained bytes or whose collection grew, by bytes a second. What has no name, or one that
    /// several variables share, is not compared.
    static func growing(_ heap: HeapSurvey?, since earlier: EarlierSurvey?) -> [HolderGrowth] {
        guard let heap, let earlier, earlier.seconds > 0, earlier.seconds < 1e12 else { return [] }
        let before = Dictionary(grouping: earlier.heap.roots.filter(\.isNamed), by: Identity.init)
        let now = Dictionary(grouping: heap.roots.filter(\.isNamed), by: Identity.init)
        let least = Double(heap.bytes) * smallestShare
        return now.compactMap { identity, roots -> HolderGrowth? in
            guard roots.count == 1, let old = before[identity], old.count == 1 else { return nil }
            let isSameCollection = roots[0].container?.kind == old[0].container?.kind
            let growth = HolderGrowth(
                root: roots[0], retainedBytesBefore: old[0].retainedBytes,
                countBefore: isSameCollection ? old[0].container?.count : nil, seconds: earlier.seconds)
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
