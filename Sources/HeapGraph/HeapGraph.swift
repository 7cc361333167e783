/// The blocks of a heap and the pointers between them, as compressed sparse rows.
///
/// Nodes are numbered from 0; whoever builds the graph numbers blocks by address, which keeps neighbours close in
/// memory. An edge is a pointer from one block into another; several from one block into the same other, and
/// pointers of a block into itself, are harmless. Costs 4 bytes a node and 4 bytes an edge.
public struct HeapGraph: Sendable {
    /// nodeCount + 1 values: node i's edges are those from firstEdge[i] up to firstEdge[i + 1].
    let firstEdge: ContiguousArray<UInt32>
    let targets: ContiguousArray<UInt32>

    public var nodeCount: Int { firstEdge.count - 1 }
    public var edgeCount: Int { targets.count }

    /// The blocks that a block points to; with repetitions.
    public func targets(of node: UInt32) -> ContiguousArray<UInt32>.SubSequence { targets[edges(of: node)] }

    /// Of each of a few nodes the first other node that points to it, where there is one. One pass over the edges.
    public func sources(of nodes: [UInt32]) -> [UInt32: UInt32] {
        guard !nodes.isEmpty else { return [:] }
        var wanted = NodeSet(nodeCount: nodeCount)
        for node in nodes { wanted.insert(node) }
        var sources: [UInt32: UInt32] = [:]
        for source in 0..<UInt32(nodeCount) {
            for target in targets(of: source)
            where wanted.contains(target) && target != source && sources[target] == nil {
                sources[target] = source
            }
        }
        return sources
    }

    /// Without the edges that `isKept` does not want. Costs as much memory again while it is made.
    public func filtered(_ isKept: (_ from: UInt32, _ to: UInt32) -> Bool) -> HeapGraph {
        var builder = Builder(nodes: nodeCount, edges: edgeCount)
        for node in 0..<UInt32(nodeCount) {
            for edge in edges(of: node) where isKept(node, targets[edge]) { builder.addEdge(to: targets[edge]) }
            builder.endNode()
        }
        return builder.finish()
    }

    func edges(of node: UInt32) -> Range<Int> { Int(firstEdge[Int(node)])..<Int(firstEdge[Int(node) + 1]) }
}

extension HeapGraph {
    /// Takes rows in the order of their nodes, as a scan of the heap by address finds them.
    public struct Builder: Sendable {
        private var firstEdge: ContiguousArray<UInt32> = [0]
        private var targets: ContiguousArray<UInt32> = []

        /// - Parameters: expected sizes, so that nothing has to move.
        public init(nodes: Int = 0, edges: Int = 0) {
            firstEdge.reserveCapacity(nodes + 1)
            targets.reserveCapacity(edges)
        }

        /// An edge of the node that is being built.
        public mutating func addEdge(to target: UInt32) { targets.append(target) }

        /// The node being built is complete, the next one begins.
        public mutating func endNode() { firstEdge.append(UInt32(targets.count)) }

        /// The graph of all nodes that were ended. Edges to nodes that do not exist are a programming error.
        public consuming func finish() -> HeapGraph {
            let nodes = firstEdge.count - 1
            precondition(targets.allSatisfy { $0 < nodes }, "an edge leads to a node that does not exist")
            return HeapGraph(firstEdge: firstEdge, targets: targets)
        }
    }
}

/// Where a heap is held: each root has a number, and points to blocks.
///
/// A root is whatever a report names: one global, one thread-local of one thread, one stack frame.
public struct HeapRoots: Sendable {
    let firstEdge: ContiguousArray<UInt32>
    let targets: ContiguousArray<UInt32>

    public var count: Int { firstEdge.count - 1 }

    /// - Parameter targets: blocks that each root points to.
    public init(_ targets: some Sequence<[UInt32]>) {
        var first: ContiguousArray<UInt32> = [0]
        var all: ContiguousArray<UInt32> = []
        for list in targets {
            all += list
            first.append(UInt32(all.count))
        }
        firstEdge = first
        self.targets = all
    }
}

/// A set of nodes, one bit each.
public struct NodeSet: Sendable, Equatable {
    private var words: ContiguousArray<UInt64>

    public init(nodeCount: Int) { words = ContiguousArray(repeating: 0, count: (nodeCount + 63) / 64) }

    public func contains(_ node: UInt32) -> Bool { words[Int(node >> 6)] >> UInt64(node & 63) & 1 == 1 }

    /// False where it was in it before.
    @discardableResult
    public mutating func insert(_ node: UInt32) -> Bool {
        let bit = UInt64(1) << UInt64(node & 63)
        defer { words[Int(node >> 6)] |= bit }
        return words[Int(node >> 6)] & bit == 0
    }

    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
}
