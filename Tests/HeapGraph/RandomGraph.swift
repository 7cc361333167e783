import HeapGraph
import TestSupport

/// A small graph with its roots, and the slow truth about it.
struct RandomGraph {
    let edges: [[UInt32]]
    let roots: [[UInt32]]

    init(edges: [[UInt32]], roots: [[UInt32]]) {
        self.edges = edges
        self.roots = roots
    }

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let nodes = Int.random(in: 1...14, using: &random)
        let density = Double.random(in: 0.2...2.5, using: &random)
        edges = (0..<nodes).map { _ in
            (0..<Int.random(in: 0...max(1, Int(density * 2)), using: &random)).map { _ in
                UInt32.random(in: 0..<UInt32(nodes), using: &random)
            }
        }
        roots = (0..<Int.random(in: 1...3, using: &random)).map { _ in
            (0..<Int.random(in: 0...2, using: &random)).map { _ in UInt32.random(in: 0..<UInt32(nodes), using: &random)
            }
        }
    }

    var graph: HeapGraph {
        var builder = HeapGraph.Builder()
        for row in edges {
            for target in row { builder.addEdge(to: target) }
            builder.endNode()
        }
        return builder.finish()
    }

    /// Sizes that add up to a different sum for each set of nodes.
    var sizes: ContiguousArray<UInt64> { ContiguousArray(edges.indices.map { 1 << UInt64($0) }) }

    /// Nodes and roots by their numbers in the dominator tree, the origin last.
    private func successors(_ node: Int) -> [Int] {
        if node < edges.count { return edges[node].map(Int.init) }
        return node < edges.count + roots.count
            ? roots[node - edges.count].map(Int.init) : roots.indices.map { edges.count + $0 }
    }

    /// What the origin leads to if `removed` is not there.
    func reached(without removed: Int? = nil) -> Set<Int> {
        let origin = edges.count + roots.count
        var reached: Set<Int> = []
        var waiting = origin == removed ? [] : [origin]
        while let node = waiting.popLast() {
            guard node != removed, reached.insert(node).inserted else { continue }
            waiting += successors(node)
        }
        return reached
    }

    /// Bytes that are gone if each node or root goes.
    func retained() -> [UInt64] {
        let all = reached()
        return (0...(edges.count + roots.count)).map { node in
            guard all.contains(node) else { return 0 }
            return all.subtracting(reached(without: node)).filter { $0 < edges.count }.reduce(0) { $0 + sizes[$1] }
        }
    }
}
