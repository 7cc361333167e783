import HeapGraph

/// Reads all blocks once and turns the pointers in them into edges.
///
/// Every aligned word counts that points into a block, also into its midst: a hash table's only pointer may be such a
/// one. 8 bytes a block and 4 a pointer stay; the memory of the process is read a MiB at a time.
struct HeapScan<Source: MemorySource> {
    private let memory: Source
    let index: BlockIndex
    private static var piece: Int { 1 << 17 }

    init(_ memory: Source, _ index: BlockIndex) {
        self.memory = memory
        self.index = index
    }

    /// The graph, and each block's first word, which tells the type of many. `collections` sees all of it.
    func graph(_ collections: inout CollectionScan) -> (graph: HeapGraph, firstWords: ContiguousArray<UInt64>) {
        var builder = HeapGraph.Builder(nodes: index.blocks.count)
        var firstWords = ContiguousArray<UInt64>()
        firstWords.reserveCapacity(index.blocks.count)
        var window = MemoryWindow(memory)
        for node in index.blocks.indices {
            let block = index.blocks[node]
            var first: UInt64?
            var address = block.address
            window.forEachPiece(of: block.address..<block.address + block.size) { words in
                first = first ?? words[0]
                collections.look(at: words, address: address, home: UInt32(node))
                address += UInt64(words.count) * 8
                for word in words {
                    guard let target = index.block(at: word) else { continue }
                    // A pointer of a block into its own midst is how lists and short strings are made; one to its
                    // beginning is a reference to itself.
                    if target != UInt32(node) || word == block.address { builder.addEdge(to: target) }
                }
            }
            firstWords.append(first ?? 0)
            builder.endNode()
        }
        return (builder.finish(), firstWords)
    }

    /// Collections that lie outside of the heap.
    func look(in range: Range<UInt64>, _ collections: inout CollectionScan) {
        var window = MemoryWindow(memory)
        var address = (range.lowerBound + 7) & ~7
        guard address < range.upperBound else { return }
        window.forEachPiece(of: address..<range.upperBound) { words in
            collections.look(at: words, address: address, home: nil)
            address += UInt64(words.count) * 8
        }
    }

    /// The blocks that the aligned words of `range` point into.
    func targets(in range: Range<UInt64>) -> [(address: UInt64, block: UInt32)] {
        var found: [(UInt64, UInt32)] = []
        var address = (range.lowerBound + 7) & ~7
        while address + 8 <= range.upperBound {
            let words = memory.words(address, min(Self.piece, Int((range.upperBound - address) / 8)))
            if words.isEmpty { break }
            for offset in words.indices {
                if let block = index.block(at: words[offset]) { found.append((address + UInt64(offset) * 8, block)) }
            }
            address += UInt64(words.count) * 8
        }
        return found
    }
}
