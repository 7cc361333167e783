import HeapProfile
import RemoteProcess

/// Counts the entries of collections in a process that runs. A count is one word, which is read whole, but of vectors and
/// deques, whose words may be of different moments; what is read around it tells whether it still is what it was, as far as
/// that can be told. One to three system calls a collection, and a few more for the first of each Swift type.
package struct CollectionCounter {
    private let memory: RemoteMemory
    private var types: TypeReader

    /// Nil where the process is gone, or may not be read.
    package init?(_ pid: Int32) {
        guard let map = MemoryMap(of: pid), !map.mappings.isEmpty else { return nil }
        memory = RemoteMemory(pid: pid)
        types = TypeReader(memory, map)
    }

    /// - Parameters:
    ///   - kind: as a survey has it, with the type of the storage or the size of the elements, and the address.
    ///   - address: of the object, or of the pointer to a Swift collection's storage.
    ///
    /// Returns nil where what is there cannot be such a collection.
    package mutating func count(
        kind: String, type: String?, elementSize: UInt64? = nil, at address: UInt64
    ) -> UInt64? {
        if let layout = CollectionLayout(kindInBytes: kind) { return container(layout, at: address)?.count }
        guard let layout = CollectionLayout(rawValue: kind) else { return nil }
        if layout.isInBytes {
            guard let elementSize, elementSize > 0, let bytes = container(layout, at: address)?.count,
                bytes % elementSize == 0
            else { return nil }
            return bytes / elementSize
        }
        guard layout.isStorage else { return container(layout, at: address)?.count }
        // An empty collection has a storage of its own kind, which all of them share.
        guard let storage = memory.word(address), let head = memory.word(storage) else { return nil }
        guard types.name(head) == type else { return container(layout, at: storage)?.count == 0 ? 0 : nil }
        return container(layout, at: storage)?.count
    }

    private func container(_ layout: CollectionLayout, at address: UInt64) -> HeapSurvey.Container? {
        layout.container(memory.words(address, layout.wordCount))
    }
}
