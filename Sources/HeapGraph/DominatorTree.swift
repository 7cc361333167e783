/// Who holds whom alone: node d dominates node v if every path from the roots to v leads through d. All that a node
/// dominates is freed when the node goes; the sum of their sizes is what it retains.
///
/// Semi-NCA (Georgiadis, Tarjan, Werneck: "Finding dominators in practice", J. Graph Algorithms Appl. 10, 2006),
/// without recursion. O(edges × log nodes) at worst, about linear on heaps. While it is being made it needs 20 bytes a
/// reachable node and 4 an edge beside the graph, afterwards 8 bytes a node.
///
/// Roots are nodes of the tree too: root i has the number `graph.nodeCount + i`, and what no root holds alone hangs on
/// the `origin` behind them.
public struct DominatorTree: Sendable {
    public static let unreachable = UInt32.max

    public let origin: UInt32
    /// Number of the first root.
    public let firstRoot: UInt32
    /// Immediate dominator of each node and root; `unreachable` where no root leads. The origin's is itself.
    public let dominators: ContiguousArray<UInt32>
    /// Reachable nodes, roots and the origin, each behind its dominator.
    public let order: ContiguousArray<UInt32>

    public init(_ graph: HeapGraph, roots: HeapRoots) {
        var walk = DepthFirstWalk(graph, roots)
        walk.run()
        origin = walk.origin
        firstRoot = UInt32(graph.nodeCount)
        let predecessors = Predecessors(walk)
        let (parents, count) = (walk.parents, walk.numbers.count)
        (walk.numbers, walk.parents) = ([], [])  // of a large heap nothing may be there twice
        let numbered = Self.immediateDominators(consume parents, consume predecessors)
        order = walk.order
        var dominators = ContiguousArray(repeating: Self.unreachable, count: count)
        for (number, node) in order.enumerated() { dominators[Int(node)] = order[Int(numbered[number])] }
        self.dominators = dominators
    }

    /// Sum of `sizes` over all that each node or root dominates, itself included. `sizes` are of the graph's nodes.
    /// Complexity: O(nodes).
    public func retained<Sizes: RandomAccessCollection>(_ sizes: Sizes) -> ContiguousArray<UInt64>
    where Sizes.Element == UInt64, Sizes.Index == Int {
        var retained = ContiguousArray<UInt64>(repeating: 0, count: dominators.count)
        for node in sizes.indices where dominators[node] != Self.unreachable { retained[node] = sizes[node] }
        // A node's preorder number is larger than its dominator's.
        for node in order.reversed() where node != origin {
            retained[Int(dominators[Int(node)])] &+= retained[Int(node)]
        }
        return retained
    }

    /// How many of the graph's nodes each node or root dominates, itself included. Complexity: O(nodes), 4 bytes each.
    public func retainedCounts() -> ContiguousArray<UInt32> {
        var counts = ContiguousArray<UInt32>(repeating: 0, count: dominators.count)
        for node in order.reversed() where node != origin {
            counts[Int(node)] += node < firstRoot ? 1 : 0
            counts[Int(dominators[Int(node)])] += counts[Int(node)]
        }
        return counts
    }

    /// Of each node the root that alone holds it; where several do, the uppermost node that holds it alone, which may be
    /// itself; `unreachable` where none does. Complexity: O(nodes).
    public func holders() -> ContiguousArray<UInt32> {
        var holders = dominators
        // A node's dominator comes before it.
        for node in order where node < firstRoot {
            let above = dominators[Int(node)]
            holders[Int(node)] = above == origin ? node : above >= firstRoot ? above : holders[Int(above)]
        }
        return holders
    }

    /// Goes through the tree from the origin, each of the graph's nodes after its dominator and left after all that it
    /// dominates. Complexity: O(nodes), 8 bytes each.
    public func walk(enter: (UInt32) -> Void, leave: (UInt32) -> Void) {
        let none = Self.unreachable
        var firstChild = ContiguousArray(repeating: none, count: dominators.count)
        var sibling = firstChild
        for node in order.reversed() where node != origin {
            let above = Int(dominators[Int(node)])
            sibling[Int(node)] = firstChild[above]
            firstChild[above] = node
        }
        var node = origin
        while true {
            if node < firstRoot { enter(node) }
            var next = firstChild[Int(node)]
            while next == none {
                if node < firstRoot { leave(node) }
                if node == origin { return }
                next = sibling[Int(node)]
                if next == none { node = dominators[Int(node)] }
            }
            node = next
        }
    }

    /// By preorder number. Takes both for itself: a heap's are large.
    private static func immediateDominators(
        _ parents: consuming ContiguousArray<UInt32>, _ predecessors: consuming Predecessors
    ) -> ContiguousArray<UInt32> {
        let semi = semidominators(parents, predecessors)
        var dominators = parents
        for number in dominators.indices.dropFirst() {
            var candidate = dominators[number]
            while candidate > semi[number + 1] { candidate = dominators[Int(candidate)] }
            dominators[number] = candidate
        }
        return dominators
    }

    /// That of node n stands at n + 1, where its list of predecessors ended: once it is known nobody needs that any more.
    private static func semidominators(
        _ parents: ContiguousArray<UInt32>, _ predecessors: consuming Predecessors
    ) -> ContiguousArray<UInt32> {
        var forest = Forest(parents: parents)
        for number in stride(from: parents.count - 1, to: 0, by: -1) {
            var semi = parents[number]
            for edge in predecessors.edges(of: number) {
                semi = min(semi, forest.smallestSemi(above: predecessors.sources[edge], linkedFrom: UInt32(number) + 1))
            }
            forest.smallest[number] = semi
            predecessors.firstEdge[number + 1] = semi
        }
        return predecessors.firstEdge
    }
}

/// The spanning tree by which nodes get their preorder numbers; the origin's is 0.
private struct DepthFirstWalk {
    let graph: HeapGraph
    let roots: HeapRoots
    let origin: UInt32
    /// Node of each number, and number of each node.
    var order: ContiguousArray<UInt32> = []
    var numbers: ContiguousArray<UInt32>
    /// Number of the parent of each number.
    var parents: ContiguousArray<UInt32> = []

    init(_ graph: HeapGraph, _ roots: HeapRoots) {
        self.graph = graph
        self.roots = roots
        origin = UInt32(graph.nodeCount + roots.count)
        numbers = ContiguousArray(repeating: DominatorTree.unreachable, count: Int(origin) + 1)
        order.reserveCapacity(numbers.count)
        parents.reserveCapacity(numbers.count)
    }

    mutating func run() {
        var number = enter(origin, from: 0)
        /// Of each node on the way from the origin down to that number, the edge that is its turn.
        var next: ContiguousArray<UInt32> = [UInt32(successors(of: origin).lowerBound)]
        while let edge = next.last {
            let node = order[Int(number)]
            guard edge < successors(of: node).upperBound else {
                next.removeLast()
                number = parents[Int(number)]
                continue
            }
            next[next.count - 1] += 1
            let target = target(Int(edge), of: node)
            guard numbers[Int(target)] == DominatorTree.unreachable else { continue }
            number = enter(target, from: number)
            next.append(UInt32(successors(of: target).lowerBound))
        }
    }

    private mutating func enter(_ node: UInt32, from parent: UInt32) -> UInt32 {
        let number = UInt32(order.count)
        numbers[Int(node)] = number
        order.append(node)
        parents.append(parent)
        return number
    }

    /// Edges by position in the list that is the node's kind's: the graph's, the roots', or the numbers of the roots.
    func successors(of node: UInt32) -> Range<Int> {
        if node < graph.nodeCount { return graph.edges(of: node) }
        if node == origin { return 0..<roots.count }
        let root = Int(node) - graph.nodeCount
        return Int(roots.firstEdge[root])..<Int(roots.firstEdge[root + 1])
    }

    func target(_ edge: Int, of node: UInt32) -> UInt32 {
        if node < graph.nodeCount { return graph.targets[edge] }
        return node == origin ? UInt32(graph.nodeCount + edge) : roots.targets[edge]
    }
}

/// The edges between numbered nodes, turned around.
private struct Predecessors {
    var firstEdge: ContiguousArray<UInt32>
    var sources: ContiguousArray<UInt32>

    init(_ walk: DepthFirstWalk) {
        firstEdge = ContiguousArray(repeating: 0, count: walk.order.count + 2)
        for node in walk.order {
            for edge in walk.successors(of: node) {
                firstEdge[Int(walk.numbers[Int(walk.target(edge, of: node))]) + 2] += 1
            }
        }
        for number in 2..<firstEdge.count { firstEdge[number] += firstEdge[number - 1] }
        sources = ContiguousArray(repeating: 0, count: Int(firstEdge.last ?? 0))
        // While they are filled in, the start of each list stands one place further on.
        for (number, node) in walk.order.enumerated() {
            for edge in walk.successors(of: node) {
                let target = Int(walk.numbers[Int(walk.target(edge, of: node))]) + 1
                sources[Int(firstEdge[target])] = UInt32(number)
                firstEdge[target] += 1
            }
        }
    }

    func edges(of number: Int) -> Range<Int> { Int(firstEdge[number])..<Int(firstEdge[number + 1]) }
}

/// The nodes that are linked so far, by number, with compressed paths.
private struct Forest {
    private var ancestors: ContiguousArray<UInt32>
    /// The smallest semidominator of the nodes from each node up to below its ancestor.
    var smallest: ContiguousArray<UInt32>
    private var path: ContiguousArray<UInt32> = []

    init(parents: ContiguousArray<UInt32>) {
        ancestors = parents
        smallest = ContiguousArray(repeating: 0, count: parents.count)
    }

    /// The smallest semidominator on the way from `number` up to the root of its tree of linked nodes, which are those
    /// from `linked` on; the node's own number where it is not linked.
    mutating func smallestSemi(above number: UInt32, linkedFrom linked: UInt32) -> UInt32 {
        guard number >= linked else { return number }
        var top = number
        while ancestors[Int(top)] >= linked {
            path.append(top)
            top = ancestors[Int(top)]
        }
        var best = smallest[Int(top)]
        while let node = path.popLast() {
            best = min(best, smallest[Int(node)])
            smallest[Int(node)] = best
            ancestors[Int(node)] = ancestors[Int(top)]
        }
        return best
    }
}
