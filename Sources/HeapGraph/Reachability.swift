extension HeapGraph {
    /// The nodes that can be reached from `roots` along the edges that are followed, and those of `known` as well, which are
    /// taken for reached with all they lead to. Complexity: O(nodes + edges), 4 bytes for each node that waits.
    public func reachable(
        from roots: HeapRoots, known: NodeSet? = nil,
        along isFollowed: (_ from: UInt32, _ to: UInt32) -> Bool = { _, _ in true }
    ) -> NodeSet {
        var reached = known ?? NodeSet(nodeCount: nodeCount)
        var waiting: ContiguousArray<UInt32> = []
        for target in roots.targets where reached.insert(target) { waiting.append(target) }
        while let node = waiting.popLast() {
            for edge in edges(of: node) where isFollowed(node, targets[edge]) && reached.insert(targets[edge]) {
                waiting.append(targets[edge])
            }
        }
        return reached
    }
}
