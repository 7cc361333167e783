import HeapProfile

/// Collections of one kind that are the same part of objects of one type and in the same hands.
struct CollectionGroup {
    struct Key: Hashable {
        var layout: CollectionLayout
        /// Number of the type of a Swift collection's storage.
        var type: UInt32?
        /// Number of the type of the object that it is a part of, or the collection that it is an element of.
        var owner: UInt32?
        var outer: CollectionLayout?
        /// Where in that object; of an element of another collection nil.
        var offset: UInt64?
        /// Of its elements, where its words do not tell and others do.
        var elementSize: UInt64?
        /// Of one that is no part of an object, which is nobody's like.
        var number: Int?
        /// Index into the survey's roots.
        var root: Int?
    }

    private(set) var bytes: UInt64 = 0
    private var blocks: UInt64 = 0
    private var instances: UInt64 = 0
    private var count: UInt64 = 0
    private var capacity: UInt64?
    private var unusedBytes: UInt64 = 0
    /// Of every `stride`th.
    private var sampled: [(address: UInt64, count: UInt64)] = []
    private var stride: UInt64 = 1

    /// - Parameter size: of the storage, where it has one.
    mutating func add(_ collection: Collections.Collection, _ weight: Collections.Weight, size: UInt64?) {
        bytes += weight.bytes
        blocks += weight.count
        count += collection.count
        if let room = collection.capacity { capacity = (capacity ?? 0) + room }
        if let size, let room = collection.capacity, room > 0, collection.count <= room {
            unusedBytes += UInt64(Double(size) * (1 - Double(collection.count) / Double(room)))
        }
        if instances % stride == 0 { sampled.append((collection.address, collection.count)) }
        instances += 1
        guard sampled.count > HeapSurvey.Collection.mostAddresses else { return }
        sampled = sampled.indices.filter { $0 % 2 == 0 }.map { sampled[$0] }
        stride *= 2
    }

    /// So many of different lengths tell the size of their elements.
    private static let enough = 8
    private static let largestElement: UInt64 = 4096

    /// The largest number that the lengths of nearly all are multiples of: now and then something else looks like a vector.
    private func elementSize(_ key: Key) -> UInt64? {
        guard key.layout.isInBytes, key.elementSize == nil else { return key.elementSize }
        let lengths = Set(sampled.map(\.count).filter { $0 > 0 }).sorted()
        guard lengths.count >= Self.enough else { return nil }
        let divisors = Set(zip(lengths, lengths.dropFirst()).map(greatestCommonDivisor))
        return divisors.filter { divisor in
            divisor <= Self.largestElement
                && lengths.count(where: { $0 % divisor == 0 }) * 20 >= lengths.count * 19
        }.max()
    }

    func collection(_ key: Key, _ typeNames: [String]) -> HeapSurvey.Collection {
        var container = HeapSurvey.Container(kind: key.layout.rawValue, count: count, capacity: capacity)
        let size = elementSize(key)
        if let size {
            container.count /= size
            container.capacity = capacity.map { $0 / size }
        } else if let kind = key.layout.kindInBytes {
            container.kind = kind
        }
        return HeapSurvey.Collection(
            instances: instances, container: container, elementSize: size,
            type: key.type.map { typeNames[Int($0)] },
            owner: key.outer?.rawValue ?? key.owner.map { typeNames[Int($0)] }, offset: key.offset, root: key.root,
            retainedBytes: bytes, retainedCount: blocks, unusedBytes: unusedBytes,
            addresses: sampled.map(\.address),
            sampledCount: sampled.reduce(0) { $0 + $1.count } / (size ?? 1))
    }
}

extension CollectionGroup.Key {
    init(
        _ collection: Collections.Collection, _ number: Int, _ reading: HeapReading, holder: Int?,
        _ addresses: AddressList
    ) {
        func type(_ block: UInt32) -> UInt32 { reading.types[Int(block)] }
        self.init(
            layout: collection.layout,
            type: collection.layout.isStorage ? collection.storage.map(type) : nil,
            owner: collection.home.map(type), outer: collection.home.flatMap(reading.collections.layout),
            offset: nil, elementSize: collection.elementSize, number: collection.home == nil ? number : nil,
            root: holder)
        // Nodes of one collection may differ by 16 bytes.
        if outer != nil { owner = nil }
        if let home = collection.home, outer?.hasManyElementsABlock != true,
            CollectionLayout(storageType: reading.typeNames[Int(type(home))]) == nil
        {
            offset = collection.address - addresses[Int(home)]
        }
    }
}

private func greatestCommonDivisor(_ a: UInt64, _ b: UInt64) -> UInt64 {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
}
