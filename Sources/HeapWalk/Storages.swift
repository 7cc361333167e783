import Algorithms
import HeapGraph
import HeapProfile

/// The storage objects of Swift's collections, by their type and their structure: a count alone is never believed. 40 bytes
/// each.
struct Storages {
    struct Storage {
        var block: UInt32
        var layout: CollectionLayout
        var count: UInt64
        var capacity: UInt64
        /// Where the pointer to it is kept, which outlives it when the collection grows; 0: nowhere.
        var field: UInt64 = 0
        /// The block that this lies in; nil for a variable.
        var home: UInt32?
    }

    /// By block.
    private(set) var all: [Storage] = []

    /// - Parameter words: with which the block begins.
    mutating func add(
        _ block: UInt32, _ layout: CollectionLayout, _ words: some RandomAccessCollection<UInt64>, size: UInt64
    ) {
        // An element takes no more than the whole block, and no less than nothing.
        guard let container = layout.container(words), let capacity = container.capacity, capacity > 0,
            capacity <= size * 8
        else { return }
        all.append(
            Storage(block: block, layout: layout, count: container.count, capacity: capacity))
    }

    /// Takes note of who points to the beginning of one of them.
    mutating func see(_ word: UInt64, at address: UInt64, in home: UInt32?, to block: UInt32, _ index: BlockIndex) {
        guard let position = position(of: block), all[position].field == 0, word == index.blocks[Int(block)].address
        else { return }
        all[position].field = address
        all[position].home = home
    }

    private func position(of block: UInt32) -> Int? {
        let position = all.partitioningIndex { $0.block >= block }
        return position < all.count && all[position].block == block ? position : nil
    }

    /// Looks for the pointers to them in the blocks that lead to them, which are read once more.
    mutating func findFields(_ graph: HeapGraph, _ index: BlockIndex, _ memory: some MemorySource) {
        guard !all.isEmpty else { return }
        var wanted = NodeSet(nodeCount: graph.nodeCount)
        for storage in all where storage.field == 0 { wanted.insert(storage.block) }
        var window = MemoryWindow(memory)
        for node in 0..<UInt32(graph.nodeCount) {
            // A word that is no edge is of a part that is not used.
            let led = Set(graph.targets(of: node).lazy.filter(wanted.contains))
            if led.isEmpty { continue }
            var address = index.blocks[Int(node)].address
            window.forEachPiece(of: address..<address + index.blocks[Int(node)].size) { words in
                for word in words {
                    if let block = index.block(at: word), block != node, led.contains(block) {
                        see(word, at: address, in: node, to: block, index)
                    }
                    address += 8
                }
            }
        }
    }
}
