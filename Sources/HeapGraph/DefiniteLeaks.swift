/// Blocks that nothing leads to, by the one that leads to all the others of its kind.
public struct DefiniteLeak: Sendable, Equatable {
    /// A block that no other unreached block leads to, or one of a cycle that none leads to from outside.
    public var head: UInt32
    /// The head leads to itself.
    public var isCycle = false
    /// Of the head and what it leads to; each lost block counts for one head only.
    public var bytes: UInt64 = 0
    public var count: UInt64 = 0
}

extension HeapGraph {
    /// The fewest blocks from which all that is not in `reached` can be reached, in no particular order.
    /// Complexity: O(nodes + edges) without recursion; 20 bytes for each node on the longest path.
    ///
    /// In the reverse of the order in which a depth-first walk leaves nodes, the first of all that can be reached from
    /// one another comes before all it leads to (Sharir: "A strong-connectivity algorithm", Comput. Math. Appl. 7, 1981).
    ///
    /// - Parameter sizes: of all nodes, bytes.
    public func definiteLeaks<Sizes: RandomAccessCollection>(reached: NodeSet, sizes: Sizes) -> [DefiniteLeak]
    where Sizes.Element == UInt64, Sizes.Index == Int {
        var covered = reached
        var leaks: [DefiniteLeak] = []
        for head in finishingOrder(without: reached).reversed() where covered.insert(head) {
            leaks.append(cover(from: head, &covered, sizes))
        }
        return leaks
    }

    /// The nodes on a shortest way from `head` back to it, `head` first. Empty where there is none by way of the first
    /// `limit` nodes that it leads to: O(limit²) at the most.
    public func cycle(through head: UInt32, limit: Int) -> [UInt32] {
        var previous: [UInt32: UInt32] = [:]
        var found: ContiguousArray = [head]
        var next = 0
        while next < found.count, found.count <= limit {
            let node = found[next]
            next += 1
            for target in targets(of: node).prefix(limit) {
                if target == head { return way(from: head, to: node, previous) }
                if previous.updateValue(previous[target] ?? node, forKey: target) == nil { found.append(target) }
            }
        }
        return []
    }

    private func way(from head: UInt32, to last: UInt32, _ previous: [UInt32: UInt32]) -> [UInt32] {
        var way = [last]
        while let node = way.last, node != head, let before = previous[node] { way.append(before) }
        return way.reversed()
    }

    /// Adds what `head` leads to.
    private func cover<Sizes: RandomAccessCollection>(
        from head: UInt32, _ covered: inout NodeSet, _ sizes: Sizes
    ) -> DefiniteLeak where Sizes.Element == UInt64, Sizes.Index == Int {
        var leak = DefiniteLeak(head: head)
        var waiting: ContiguousArray = [head]
        while let node = waiting.popLast() {
            leak.count += 1
            leak.bytes &+= sizes[Int(node)]
            for edge in edges(of: node) {
                leak.isCycle = leak.isCycle || targets[edge] == head
                if covered.insert(targets[edge]) { waiting.append(targets[edge]) }
            }
        }
        return leak
    }

    private func finishingOrder(without reached: NodeSet) -> ContiguousArray<UInt32> {
        var entered = reached
        var finished: ContiguousArray<UInt32> = []
        var path: ContiguousArray<(node: UInt32, edges: Range<Int>)> = []
        for start in 0..<UInt32(nodeCount) where entered.insert(start) {
            path.append((start, edges(of: start)))
            while let (node, edges) = path.last {
                guard let edge = edges.first else {
                    finished.append(node)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].edges = edges.dropFirst()
                let target = targets[edge]
                if entered.insert(target) { path.append((target, self.edges(of: target))) }
            }
        }
        return finished
    }
}
