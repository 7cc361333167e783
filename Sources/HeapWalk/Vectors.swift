import Algorithms
import HeapGraph
import HeapProfile

/// A vector of C++ or Rust: one block of elements, which may be of any size.
struct FoundVector {
    var layout: CollectionLayout
    var address: UInt64
    /// The block that it lies in; nil for a variable.
    var home: UInt32?
    /// Its elements'.
    var block: UInt32
    /// As its words tell them: of C++'s bytes.
    var count: UInt64
    var capacity: UInt64
    /// Of the block's beginning, in which there may be elements.
    var bytes: UInt64

    /// One for each block, by block: of several, the others are copies of it as it was before it grew. What lies in the unused
    /// end of another one is such a copy, too, however long.
    static func settled(_ vectors: consuming [FoundVector], _ index: BlockIndex) -> [FoundVector] {
        var all = vectors
        all.sort { ($0.block, $1.bytes) < ($1.block, $0.bytes) }
        let current = all.indices.filter { !isLeftOver(all[$0], all, index) }
        var settled: [FoundVector] = []
        for place in current where settled.last?.block != all[place].block { settled.append(all[place]) }
        return settled
    }

    /// - Parameter all: by block, the longest of each first.
    private static func isLeftOver(_ vector: FoundVector, _ all: [FoundVector], _ index: BlockIndex) -> Bool {
        guard let home = vector.home, case let place = all.partitioningIndex(where: { $0.block >= home }),
            place < all.count, all[place].block == home, all[place].bytes > 0
        else { return false }
        return vector.address >= index.blocks[Int(home)].address + all[place].bytes
    }

    /// An empty one of C++ may as well be a position at the beginning of something.
    var tellsUnusedEnd: Bool { layout == .rustVec || bytes > 0 }
}

extension [FoundVector] {
    /// Of those that tell.
    var used: [UnusedEnds.Used] {
        compactMap { vector in
            vector.tellsUnusedEnd ? .init(block: vector.block, bytes: vector.bytes, mayLead: true) : nil
        }
    }
}

/// What freed memory has left behind in texts, in the room of vectors that no element takes, and in the buffers of streams:
/// pointers that lead nowhere.
struct UnusedEnds {
    /// Such pointers.
    private(set) var edges: ContiguousArray<UInt64> = []
    /// Of the blocks that they are in those that are texts, and so nothing else.
    private(set) var texts: Set<UInt32> = []

    /// Of how many bytes of its block the elements or the text take, and whether there may be pointers among them.
    struct Used {
        var block: UInt32
        var bytes: UInt64
        var mayLead: Bool
    }

    /// - Parameters:
    ///   - used: of one block perhaps several times: the most counts.
    ///   - buffers: blocks of bytes, whatever else they look like.
    init(
        _ used: consuming [Used], buffers: Set<UInt32> = [], _ graph: HeapGraph, _ index: BlockIndex,
        _ memory: some MemorySource
    ) {
        used.removeAll { buffers.contains($0.block) }
        used += buffers.map { Used(block: $0, bytes: 0, mayLead: true) }
        used.sort { ($0.block, $1.bytes) < ($1.block, $0.bytes) }
        var window = MemoryWindow(memory)
        var last: UInt32?
        for part in used where part.block != last && !graph.targets(of: part.block).isEmpty {
            last = part.block
            let seeming = Self.seeming(part, index, memory, &window)
            if seeming.isEmpty { continue }
            if !part.mayLead { texts.insert(part.block) }
            edges += seeming.map { DoubtfulEdges.edge(part.block, $0) }
        }
    }

    /// What only the words behind `part` lead to; of a text whose own words lead somewhere nothing, for it is none.
    private static func seeming<Source: MemorySource>(
        _ part: Used, _ index: BlockIndex, _ memory: Source, _ window: inout MemoryWindow<Source>
    ) -> Set<UInt32> {
        let block = index.blocks[Int(part.block)]
        let end = block.address + (part.bytes + 7) & ~7
        var (used, unused) = (Set<UInt32>(), Set<UInt32>())
        let whole = block.address..<block.end
        for touched in block.size > 1 << 20 ? memory.touched(whole) : [whole] {
            var address = touched.lowerBound
            window.forEachPiece(of: touched) { words in
                for word in words {
                    defer { address += 8 }
                    guard let target = index.block(at: word) else { continue }
                    if address < end { used.insert(target) } else { unused.insert(target) }
                }
            }
        }
        return part.mayLead || used.isEmpty ? unused.subtracting(used) : []
    }
}
