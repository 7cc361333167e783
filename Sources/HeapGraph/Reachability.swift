extension HeapGraph {
    /// The nodes that can be reached from `roots`, and those of `known` as well, which are taken for reached with all
    /// they lead to. Complexity: O(nodes + edges), 4 bytes for each node that waits.
    public func reachable(from roots: HeapRoots, known: NodeSet? = nil) -> NodeSet {
        var reached = known ?? NodeSet(nodeCount: nodeCount)
        var waiting: ContiguousArray<UInt32> = []
        for target in roots.targets where reached.insert(target) { waiting.append(target) }
        spread(&reached, &waiting)
        return reached
    }

    /// The nodes that can be reached from `roots` along the edges that are followed.
    public func reachable(
        from roots: HeapRoots, along isFollowed: (_ from: UInt32, _ to: UInt32) -> Bool
    ) -> NodeSet {
        var reached = NodeSet(nodeCount: nodeCount)
        var waiting: ContiguousArray<UInt32> = []
        for target in roots.targets where reached.insert(target) { waiting.append(target) }
        while let node = waiting.popLast() {
            for edge in edges(of: node) where isFollowed(node, targets[edge]) && reached.insert(targets[edge]) {
                waiting.append(targets[edge])
            }
        }
        return reached
    }

    /// Empties `waiting`, whose nodes are in `reached`, and adds what they lead to.
    func spread(_ reached: inout NodeSet, _ waiting: inout ContiguousArray<UInt32>) {
        while let node = waiting.popLast() {
            for edge in edges(of: node) where reached.insert(targets[edge]) { waiting.append(targets[edge]) }
        }
    }
}
