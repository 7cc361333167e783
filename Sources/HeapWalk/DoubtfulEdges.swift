import Algorithms
import HeapGraph

/// Pointers that may be none: what freed memory has left behind in a block that was handed out again.
struct DoubtfulEdges {
    /// In order; one may be there several times.
    private var edges: ContiguousArray<UInt64>
    /// The blocks that they lead from: few have any, and each edge of the graph is asked about.
    private var sources: NodeSet

    static let none = DoubtfulEdges([], nodeCount: 0)

    init(_ edges: consuming ContiguousArray<UInt64>, nodeCount: Int) {
        self.edges = edges
        self.edges.sort()
        sources = NodeSet(nodeCount: nodeCount)
        for edge in self.edges { sources.insert(UInt32(edge >> 32)) }
    }

    static func edge(_ from: UInt32, _ to: UInt32) -> UInt64 { UInt64(from) << 32 | UInt64(to) }
    static func target(_ edge: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: edge) }

    /// The graph without them, but for those that alone lead to something: they may be pointers after all, and nothing must
    /// seem lost for it.
    ///
    /// - Parameter roots: those with names. Stacks lead to all that a program works with, and hold nothing for it.
    func leftOut(of graph: HeapGraph, _ roots: HeapRoots) -> HeapGraph {
        if edges.isEmpty { return graph }
        let held = graph.reachable(from: roots) { from, to in !contains(from, to) }
        return graph.filtered { from, to in !held.contains(to) || !contains(from, to) }
    }

    private func contains(_ from: UInt32, _ to: UInt32) -> Bool {
        guard sources.contains(from) else { return false }
        let edge = Self.edge(from, to)
        let place = edges.partitioningIndex { $0 >= edge }
        return place < edges.count && edges[place] == edge
    }
}
