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
    var container: HeapSurvey.Container
    /// Of the elements.
    var bytes: UInt64

    /// One for each block: of several, the others are copies of it as it was before it grew. What lies in the unused end of
    /// another one is such a copy, too, however long.
    static func settled(_ vectors: consuming [FoundVector], _ index: BlockIndex) -> [FoundVector] {
        var all = vectors
        all.sort { ($0.block, $1.bytes) < ($1.block, $0.bytes) }
        let longest = all.uniqued(on: \.block).filter { $0.bytes > 0 }
        let current = all.filter { vector in
            guard let home = vector.home, case let place = longest.partitioningIndex(where: { $0.block >= home }),
                place < longest.count, longest[place].block == home
            else { return true }
            return vector.address < index.blocks[Int(home)].address + longest[place].bytes
        }
        return Array(current.uniqued(on: \.block))
    }
}

/// What freed memory has left behind in texts and in the room of vectors that no element takes: pointers that lead nowhere.
struct UnusedEnds {
    /// A block and one that it only seems to lead to, in order.
    private var edges: [UInt64] = []

    static let none = UnusedEnds()
    private init() {}

    /// - Parameter used: of blocks of elements, the bytes that these take.
    init(
        _ used: some Sequence<(block: UInt32, bytes: UInt64)>, _ graph: HeapGraph, _ index: BlockIndex,
        _ memory: some MemorySource
    ) {
        var window = MemoryWindow(memory)
        for (number, bytes) in used {
            let block = index.blocks[Int(number)]
            let end = block.address + (bytes + 7) & ~7
            guard end < block.end, !graph.targets(of: number).isEmpty else { continue }
            var seeming = Set<UInt32>()
            window.forEachPiece(of: end..<block.end) { seeming.formUnion($0.lazy.compactMap(index.block(at:))) }
            if seeming.isEmpty { continue }
            window.forEachPiece(of: block.address..<end) { words in
                for word in words { if let target = index.block(at: word) { seeming.remove(target) } }
            }
            edges += seeming.map { Self.edge(number, $0) }
        }
        edges.sort()
    }

    var isEmpty: Bool { edges.isEmpty }

    func contains(_ from: UInt32, _ to: UInt32) -> Bool {
        let edge = Self.edge(from, to)
        let place = edges.partitioningIndex { $0 >= edge }
        return place < edges.count && edges[place] == edge
    }

    private static func edge(_ from: UInt32, _ to: UInt32) -> UInt64 { UInt64(from) << 32 | UInt64(to) }
}
