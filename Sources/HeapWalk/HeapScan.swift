import HeapGraph

/// Reads all blocks once and turns the pointers in them into edges.
///
/// Every aligned word counts that points into a block, also into its midst: a hash table's only pointer may be such a
/// one. 12 bytes a block and 4 a pointer stay; the memory of the process is read a MiB at a time.
struct HeapScan<Source: MemorySource> {
    private let memory: Source
    let index: BlockIndex
    private static var piece: Int { 1 << 17 }

    init(_ memory: Source, _ index: BlockIndex) {
        self.memory = memory
        self.index = index
    }

    /// What reading all blocks gives.
    struct Blocks {
        var graph: HeapGraph
        /// Each block's first word.
        var firstWords: ContiguousArray<UInt64> = []
        /// Each block's type, by its number.
        var types = SmallNumbers()
        /// Blocks through which weak references find their object, and which do not hold it.
        var weak: NodeSet
        var storages = Storages()
        /// Edges of the graph that may be none.
        var doubtful: ContiguousArray<UInt64> = []
    }

    /// `collections` sees all of it.
    func blocks(_ reader: inout TypeReader, _ collections: inout CollectionScan) -> Blocks {
        let count = index.blocks.count
        var edges = Edges(index)
        var blocks = Blocks(graph: HeapGraph.Builder().finish(), weak: NodeSet(nodeCount: count))
        blocks.firstWords.reserveCapacity(count)
        blocks.types.reserveCapacity(count)
        var sideTables: [(block: UInt32, object: UInt64)] = []
        var window = MemoryWindow(memory)
        for (node, block) in index.blocks.enumerated() {
            var head = Head()
            var type: UInt32?
            var isUnknown = false
            var used: UsedWords?
            let whole = block.address..<block.address + block.size
            // Of a large one much may never have been used.
            for part in block.size > 1 << 20 ? memory.touched(whole) : [whole] {
                var address = part.lowerBound
                window.forEachPiece(of: part) { words in
                    if part.lowerBound == block.address { head.add(words) }
                    if type == nil {
                        let first = reader.type(words[0], size: block.size)
                        used =
                            first == reader.textType
                            ? .ofText : reader.layouts[Int(first)].flatMap { UsedWords($0, block, memory) }
                        type = first
                        isUnknown = reader.isUnknown(first, size: block.size)
                    }
                    if used == nil { collections.look(at: words, address: address, home: UInt32(node)) }
                    edges.follow(
                        words, at: address - block.address, of: UInt32(node), index, used: used, isUnknown: isUnknown)
                    address += UInt64(words.count) * 8
                }
            }
            edges.endBlock(UInt32(node))
            let known = type ?? reader.type(0, size: block.size)
            blocks.firstWords.append(head[0])
            blocks.types.append(known)
            if let layout = reader.layouts[Int(known)] {
                blocks.storages.add(UInt32(node), layout, head, size: block.size)
            }
            if known == reader.textType { collections.texts.look(UInt32(node), head, size: block.size) }
            if let table = sideTable(head[1]) { sideTables.append((table, block.address)) }
        }
        for table in sideTables where blocks.firstWords[Int(table.block)] == table.object {
            blocks.weak.insert(table.block)
        }
        blocks.graph = edges.builder.finish()
        blocks.doubtful = edges.strays.edges()
        blocks.doubtful += edges.chains.strays(blocks.graph, index, memory) { [reader] node in
            reader.isUnknown(blocks.types[Int(node)], size: index.blocks[Int(node)].size)
        }
        return blocks
    }

    /// What leads from block to block, and which of it may be none.
    private struct Edges {
        var builder: HeapGraph.Builder
        var strays: StrayPointers
        var chains = Chains()

        init(_ index: BlockIndex) {
            builder = HeapGraph.Builder(nodes: index.blocks.count)
            strays = StrayPointers(index)
        }

        /// The pointers among `words`, which are `offset` bytes into block `node`.
        ///
        /// - Parameter isUnknown: nothing tells the block's type.
        mutating func follow(
            _ words: UnsafeBufferPointer<UInt64>, at offset: UInt64, of node: UInt32, _ index: BlockIndex,
            used: UsedWords?, isUnknown: Bool
        ) {
            let block = index.blocks[Int(node)]
            var offset = offset
            for word in words {
                defer { offset += 8 }
                guard let target = index.block(at: word), used?.contains(offset) ?? true else { continue }
                // A pointer of a block into its own midst is how lists and short strings are made; one to its beginning is
                // a reference to itself.
                guard target != node || word == block.address else { continue }
                builder.addEdge(to: target)
                strays.see(word, in: node, to: target, index.blocks[Int(target)], isUnknown: isUnknown)
                if isUnknown { chains.see(word, at: offset, in: block, to: index.blocks[Int(target)]) }
            }
        }

        mutating func endBlock(_ node: UInt32) {
            builder.endNode()
            strays.endBlock(node)
        }
    }

    /// The words with which a block begins, 0 where it has fewer.
    private struct Head: RandomAccessCollection {
        private var words: InlineArray<4, UInt64> = [0, 0, 0, 0]
        private var known = 0

        var startIndex: Int { 0 }
        var endIndex: Int { 4 }
        subscript(index: Int) -> UInt64 { words[index] }

        mutating func add(_ piece: UnsafeBufferPointer<UInt64>) {
            for word in piece.prefix(4 - known) {
                words[known] = word
                known += 1
            }
        }
    }

    /// Of a Swift object's reference counts, which are in a table beside it once there is a weak reference
    /// (stdlib/public/SwiftShims/RefCount.h: the two highest bits are set, the others are its address shifted by 3).
    private func sideTable(_ counts: UInt64) -> UInt32? {
        counts >> 62 == 3 ? index.block(startingAt: (counts & ~(3 << 62)) << 3) : nil
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

    /// The aligned words of `range` that point into blocks and lie in none: the kernel joins a large block's mapping with a
    /// neighbour's, such as a stack or the memory of thread-locals.
    func targets(in range: Range<UInt64>) -> [(address: UInt64, word: UInt64, block: UInt32)] {
        var found: [(UInt64, UInt64, UInt32)] = []
        var address = (range.lowerBound + 7) & ~7
        while address + 8 <= range.upperBound {
            let words = memory.words(address, min(Self.piece, Int((range.upperBound - address) / 8)))
            if words.isEmpty { break }
            for offset in words.indices {
                let place = address + UInt64(offset) * 8
                if let block = index.block(at: words[offset]), index.block(at: place) == nil {
                    found.append((place, words[offset], block))
                }
            }
            address += UInt64(words.count) * 8
        }
        return found
    }
}
