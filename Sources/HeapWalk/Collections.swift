import HeapGraph
import HeapProfile

/// The collections of a heap whose structure was checked, and which of them each node belongs to.
///
/// A node is its collection's alone. What else seems to lead to it are iterators, and what freed memory left behind in the
/// unused ends of blocks: one such word would share the whole rest of a chain.
struct Collections {
    struct Collection {
        var address: UInt64
        var size: UInt64
        /// The block that the object lies in; nil for a variable.
        var home: UInt32?
        var container: HeapSurvey.Container
    }

    private(set) var all: [Collection] = []
    /// Of each block the number of its collection, counted from 1; empty where there are none.
    private var owners: ContiguousArray<UInt32> = []

    /// Of two that claim one block the first has it, and the other is none.
    init(
        _ candidates: [CollectionCandidate], _ index: BlockIndex, _ graph: HeapGraph,
        _ firstWords: ContiguousArray<UInt64>
    ) {
        for candidate in candidates {
            let nodes: [UInt32]?
            let container: HeapSurvey.Container
            switch candidate.kind {
            case .hashTable:
                nodes = Self.nodes(ofHashTable: candidate, index, firstWords)
                container = .init(
                    kind: "std::unordered_map or set", count: candidate.words[3], capacity: candidate.words[1])
            case .tree:
                nodes = Self.nodes(ofTree: candidate, index, graph)
                container = .init(kind: "std::map or set", count: candidate.words[5])
            }
            guard let nodes, claim(nodes, of: index.blocks.count) else { continue }
            all.append(
                Collection(
                    address: candidate.address, size: UInt64(candidate.words.count) * 8, home: candidate.home,
                    container: container))
        }
    }

    private mutating func claim(_ nodes: [UInt32], of blockCount: Int) -> Bool {
        if owners.isEmpty { owners = ContiguousArray(repeating: 0, count: blockCount) }
        guard nodes.allSatisfy({ owners[Int($0)] == 0 }) else { return false }
        for node in nodes { owners[Int(node)] = UInt32(all.count + 1) }
        return true
    }

    // MARK: Structure

    /// One chain by their first words, as long as the table says, and the buckets.
    private static func nodes(
        ofHashTable candidate: CollectionCandidate, _ index: BlockIndex, _ firstWords: ContiguousArray<UInt64>
    ) -> [UInt32]? {
        let words = candidate.words
        var nodes: [UInt32] = []
        if let buckets = index.block(startingAt: words[0]) {
            guard index.blocks[Int(buckets)].size / 8 >= words[1] else { return nil }
            nodes.append(buckets)
        } else if words[0] != candidate.address + 48 {
            return nil
        }
        var node = words[2]
        for _ in 0..<words[3] {
            guard let block = index.block(startingAt: node) else { return nil }
            nodes.append(block)
            node = firstWords[Int(block)]
        }
        return node == 0 ? nodes : nil
    }

    /// All blocks of one size that the root leads to through such blocks: as many as the tree says. glibc gives a chunk out
    /// with the 16 bytes behind it where they are too few for another one.
    private static func nodes(
        ofTree candidate: CollectionCandidate, _ index: BlockIndex, _ graph: HeapGraph
    ) -> [UInt32]? {
        guard let root = index.block(startingAt: candidate.words[2]) else { return nil }
        let size = index.blocks[Int(root)].size
        for sizes in [size...size, size...size + 16, size - min(16, size)...size] {
            if let nodes = nodes(from: root, count: Int(candidate.words[5]), sizes, index, graph) { return nodes }
        }
        return nil
    }

    private static func nodes(
        from root: UInt32, count: Int, _ sizes: ClosedRange<UInt64>, _ index: BlockIndex, _ graph: HeapGraph
    ) -> [UInt32]? {
        var nodes = [root]
        var known: Set = [root]
        var next = 0
        while next < nodes.count {
            for target in graph.targets(of: nodes[next])
            where sizes.contains(index.blocks[Int(target)].size) && known.insert(target).inserted {
                nodes.append(target)
                if nodes.count > count { return nil }
            }
            next += 1
        }
        return nodes.count == count ? nodes : nil
    }

    // MARK: Who may lead to a node

    /// The graph without what only seems to lead into a collection.
    func contracted(_ graph: HeapGraph) -> HeapGraph {
        guard !owners.isEmpty else { return graph }
        return graph.filtered { from, to in
            let owner = owners[Int(to)]
            return owner == 0 || owners[Int(from)] == owner || all[Int(owner) - 1].home == from
        }
    }

    /// Likewise of a root.
    func contracted(_ root: HeapRoot) -> HeapRoot {
        guard !owners.isEmpty else { return root }
        var contracted = root
        contracted.targets = root.targets.filter { target in
            let owner = owners[Int(target)]
            return owner == 0 || isIn(all[Int(owner) - 1], root)
        }
        return contracted
    }

    /// A variable that is or contains it, or a word within it that no symbol names.
    private func isIn(_ collection: Collection, _ root: HeapRoot) -> Bool {
        guard collection.home == nil else { return false }
        let object = collection.address..<collection.address + collection.size
        return object.contains(root.address)
            || (root.address..<root.address + max(1, root.size)).contains(collection.address)
    }

    /// The largest that the root is, contains or points to the object of.
    func largest(of root: HeapRoot) -> HeapSurvey.Container? {
        let targets = Set(root.targets)
        return all.filter { isIn($0, root) || $0.home.map(targets.contains) == true }.map(\.container)
            .max { $0.count < $1.count }
    }
}
