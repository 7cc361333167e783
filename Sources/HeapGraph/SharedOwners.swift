import Algorithms

/// Which roots together hold what none of them holds alone.
///
/// What one root or one shared node holds alone is led to by nobody else but through that: a pointer from outside leads
/// to a shared node, which hangs on the tree's origin. So the graph shrinks to roots and shared nodes, and the pointers
/// into the latter. One pass over the edges; 8 bytes for each pointer from one hand into another.
public struct SharedOwners: Sendable {
    /// A shared node, and a root or shared node out of whose hands somebody points to it.
    private struct Pointer {
        var target: UInt32
        var source: UInt32
    }

    private let firstRoot: UInt32
    /// By target.
    private var pointers: ContiguousArray<Pointer> = []

    /// - Parameters:
    ///   - holders: of `tree`, which is of `graph` and `roots`.
    ///   - limit: pointers from one hand into another that are kept; with more of them it is nil.
    public init?(
        _ graph: HeapGraph, roots: HeapRoots, _ tree: DominatorTree, holders: ContiguousArray<UInt32>,
        limit: Int = 1 << 24
    ) {
        firstRoot = tree.firstRoot
        var known = ContiguousArray(repeating: DominatorTree.unreachable, count: graph.nodeCount)
        func add(_ target: UInt32, from source: UInt32, _ pointers: inout ContiguousArray<Pointer>) {
            guard tree.dominators[Int(target)] == tree.origin, source != target, known[Int(target)] != source else {
                return
            }
            known[Int(target)] = source
            pointers.append(Pointer(target: target, source: source))
        }
        for root in 0..<roots.count {
            for edge in Int(roots.firstEdge[root])..<Int(roots.firstEdge[root + 1]) {
                add(roots.targets[edge], from: tree.firstRoot + UInt32(root), &pointers)
            }
        }
        for node in 0..<UInt32(graph.nodeCount) where holders[Int(node)] != DominatorTree.unreachable {
            for target in graph.targets(of: node) { add(target, from: holders[Int(node)], &pointers) }
            guard pointers.count <= limit else { return nil }
        }
        pointers.sort { $0.target < $1.target }
    }

    /// The roots that lead to a shared node, by number in the tree, ascending.
    public func owners(of node: UInt32) -> [UInt32] {
        var owners: Set<UInt32> = []
        var seen: Set = [node]
        var waiting = [node]
        while let target = waiting.popLast() {
            let first = pointers.partitioningIndex { $0.target >= target }
            for source in pointers[first...].prefix(while: { $0.target == target }).map(\.source) {
                if source >= firstRoot {
                    owners.insert(source)
                } else if seen.insert(source).inserted {
                    waiting.append(source)
                }
            }
        }
        return owners.sorted()
    }
}
