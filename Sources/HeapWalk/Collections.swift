import HeapGraph
import HeapProfile

/// The collections of a heap whose structure was checked, and which of them each node belongs to.
///
/// A node is its collection's alone. What else seems to lead to it are iterators, and what freed memory left behind in the
/// unused ends of blocks: one such word would share the whole rest of a chain.
struct Collections {
    struct Collection {
        var layout: CollectionLayout
        var count: UInt64
        var capacity: UInt64?
        /// Of one whose count and capacity are bytes; nil where it is not known.
        var elementSize: UInt64?
        /// Of the object; of one with a storage, of the pointer to that, or of the storage where nothing points to it.
        var address: UInt64
        /// The block that the object lies in; nil for a variable.
        var home: UInt32?
        /// The one block that it consists of, where it is of that kind.
        var storage: UInt32?

        /// Of the object.
        var size: UInt64 { storage == nil ? UInt64(layout.wordCount) * 8 : 8 }
    }

    private(set) var all: [Collection] = []
    /// Of each block the number of its collection, counted from 1; empty where there are none.
    private var owners = SmallNumbers()

    /// Those that are the elements of a vector, of each kind.
    private var vectorBlocks: [CollectionLayout: NodeSet] = [:]

    static let none = Collections()
    private init() {}

    /// Of two that claim one block the first has it, and the other is none.
    ///
    /// - Parameter texts: blocks that are no nodes, whatever freed memory has left in them.
    init(
        _ candidates: [CollectionCandidate], _ index: BlockIndex, _ graph: HeapGraph,
        _ firstWords: ContiguousArray<UInt64>, elementSizes: [UInt64: UInt64], texts: Set<UInt32> = []
    ) {
        var structure = CollectionStructure(index: index, graph: graph, firstWords: firstWords, texts: texts)
        // A list that seems to begin in the midst of a tree's object must not take its nodes.
        for candidate in candidates.sorted(by: { $0.layout.wordCount > $1.layout.wordCount }) {
            guard let container = candidate.layout.container(candidate.words),
                let nodes = structure.nodes(of: candidate), claim(nodes, of: index.blocks.count)
            else { continue }
            all.append(
                Collection(
                    layout: candidate.layout, count: container.count, capacity: container.capacity,
                    elementSize: candidate.layout.isInBytes ? elementSizes[candidate.address] : nil,
                    address: candidate.address, home: candidate.home))
        }
    }

    /// - Parameter vectors: one for each block.
    mutating func add(_ vectors: [FoundVector], elementSizes: [UInt64: UInt64], of blockCount: Int) {
        // The map of a deque looks like one, too.
        for vector in vectors where owners.isEmpty || owners[Int(vector.block)] == 0 {
            vectorBlocks[vector.layout, default: NodeSet(nodeCount: blockCount)].insert(vector.block)
            all.append(
                Collection(
                    layout: vector.layout, count: vector.count, capacity: vector.capacity,
                    elementSize: vector.layout.isInBytes ? elementSizes[vector.address] : nil,
                    address: vector.address, home: vector.home, storage: vector.block))
        }
    }

    mutating func add(_ storages: Storages, _ index: BlockIndex) {
        for storage in storages.all {
            let address = storage.field == 0 ? index.blocks[Int(storage.block)].address : storage.field
            all.append(
                Collection(
                    layout: storage.layout, count: storage.count, capacity: storage.capacity, address: address,
                    home: storage.home, storage: storage.block))
        }
    }

    private mutating func claim(_ nodes: [UInt32], of blockCount: Int) -> Bool {
        if owners.isEmpty { owners = SmallNumbers(zeros: blockCount) }
        guard nodes.allSatisfy({ owners[Int($0)] == 0 }) else { return false }
        for node in nodes { owners[Int(node)] = UInt32(all.count + 1) }
        return true
    }

    /// Of the collection that a block is a node of, or the elements of.
    func layout(_ block: UInt32) -> CollectionLayout? {
        if !owners.isEmpty, owners[Int(block)] != 0 { return all[Int(owners[Int(block)]) - 1].layout }
        return vectorBlocks.first { $0.value.contains(block) }?.key
    }

    // MARK: Who may lead to a node

    /// The graph without what only seems to lead into a collection, and without the edges of `weak` nodes.
    func contracted(_ graph: HeapGraph, weak: NodeSet) -> HeapGraph {
        let hasWeak = weak.count > 0
        guard !owners.isEmpty || hasWeak else { return graph }
        return graph.filtered { from, to in
            if hasWeak, weak.contains(from) { return false }
            let owner = owners.isEmpty ? 0 : owners[Int(to)]
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
    func isIn(_ collection: Collection, _ root: HeapRoot) -> Bool {
        guard collection.home == nil else { return false }
        return root.address &- collection.address < collection.size
            || collection.address &- root.address < max(1, root.size)
    }

    // MARK: What they retain

    /// What each retains, and who holds it alone: a root, or the tree's origin.
    struct Weight {
        var bytes: UInt64 = 0
        var count: UInt64 = 0
        var holder = DominatorTree.unreachable
    }

    /// Of all, in their order. Complexity: O(blocks).
    func weights(
        _ tree: DominatorTree, bytes: ContiguousArray<UInt64>, counts: ContiguousArray<UInt32>,
        holders: ContiguousArray<UInt32>
    ) -> [Weight] {
        var weights = [Weight](repeating: Weight(), count: all.count)
        func add(_ block: Int, to number: Int) {
            weights[number].bytes += bytes[block]
            weights[number].count += UInt64(counts[block])
            let holder = weights[number].holder
            weights[number].holder =
                holder == DominatorTree.unreachable || holder == holders[block] ? holders[block] : tree.origin
        }
        for block in owners.indices where owners[block] != 0 {
            let above = tree.dominators[block]
            // What hangs on one of its own nodes is in that one's bytes.
            if above < tree.firstRoot, owners[Int(above)] == owners[block] { continue }
            add(block, to: Int(owners[block]) - 1)
        }
        for (number, collection) in all.enumerated() {
            if let storage = collection.storage { add(Int(storage), to: number) }
        }
        return weights
    }
}

/// Whether the blocks of a heap are what a candidate says.
struct CollectionStructure {
    let index: BlockIndex
    let graph: HeapGraph
    let firstWords: ContiguousArray<UInt64>
    /// Blocks that may still be looked at, for all candidates together: whatever imitates collections costs no more.
    private var visitsLeft: Int

    private let texts: Set<UInt32>

    init(index: BlockIndex, graph: HeapGraph, firstWords: ContiguousArray<UInt64>, texts: Set<UInt32>) {
        self.texts = texts
        self.index = index
        self.graph = graph
        self.firstWords = firstWords
        visitsLeft = 8 * index.blocks.count + 1 << 16
    }

    /// The blocks that are nobody else's; nil where it is no collection.
    mutating func nodes(of candidate: CollectionCandidate) -> [UInt32]? {
        switch candidate.layout {
        case .hashTable: nodes(ofHashTable: candidate)
        case .tree:
            index.block(startingAt: candidate.words[2]).flatMap {
                nodes(ofTree: candidate, from: $0, count: candidate.words[5])
            }
        case .list: nodes(ofList: candidate)
        case .libcxxTree: nodes(ofLibcxxTree: candidate)
        case .deque:
            nodes(
                ofDeque: candidate, from: candidate.words[5], through: candidate.words[9],
                nodeSize: candidate.words[4] - candidate.words[3])
        case .libcxxDeque:
            nodes(
                ofDeque: candidate, from: candidate.words[1], through: candidate.words[2] - 8,
                nodeSize: CollectionLayout.libcxxNode)
        case .rustTable: nodes(ofRustTable: candidate)
        case .vector, .rustVec, .rustDeque, .array, .dictionary, .set: nil
        }
    }

    /// One chain by their first words, as long as the table says, and the buckets.
    private mutating func nodes(ofHashTable candidate: CollectionCandidate) -> [UInt32]? {
        let words = candidate.words
        var nodes: [UInt32] = []
        if let buckets = index.block(startingAt: words[0]) {
            guard index.blocks[Int(buckets)].size / 8 >= words[1] else { return nil }
            nodes.append(buckets)
        } else if words[0] != candidate.address + 48 || words[1] != 1 {
            return nil
        }
        guard let chain = chain(from: words[2], count: words[3]), chain.end == 0 else { return nil }
        return nodes + chain.nodes
    }

    /// A map that leads to as many nodes as are in use. It may lead to former ones as well: then nobody knows which are its.
    private mutating func nodes(
        ofDeque candidate: CollectionCandidate, from first: UInt64, through last: UInt64, nodeSize: UInt64
    ) -> [UInt32]? {
        guard let map = index.block(startingAt: candidate.words[0]), last < index.blocks[Int(map)].end else {
            return nil
        }
        let targets = graph.targets(of: map)
        let count = Int((last - first) / 8 + 1)
        guard targets.count >= count, visitsLeft > targets.count else { return nil }
        visitsLeft -= targets.count
        let nodes = targets.filter { $0 != map && index.blocks[Int($0)].size >= nodeSize }
        guard nodes.count >= count else { return nil }
        return nodes.count == count ? [map] + nodes : [map]
    }

    /// A ring of as many as it says, closed by the object itself.
    private mutating func nodes(ofList candidate: CollectionCandidate) -> [UInt32]? {
        guard let last = index.block(startingAt: candidate.words[1]), firstWords[Int(last)] == candidate.address,
            let chain = chain(from: candidate.words[0], count: candidate.words[2]), chain.end == candidate.address,
            chain.nodes.last == last
        else { return nil }
        return chain.nodes
    }

    private mutating func chain(from first: UInt64, count: UInt64) -> (nodes: [UInt32], end: UInt64)? {
        var nodes: [UInt32] = []
        var node = first
        for _ in 0..<count {
            visitsLeft -= 1
            guard visitsLeft > 0, let block = index.block(startingAt: node) else { return nil }
            nodes.append(block)
            node = firstWords[Int(block)]
        }
        return (nodes, node)
    }

    /// One block: the elements, growing downwards from the control bytes, those, and sixteen of them again.
    private func nodes(ofRustTable candidate: CollectionCandidate) -> [UInt32]? {
        let (control, buckets) = (candidate.words[0], candidate.words[1] + 1)
        guard let block = index.block(at: control), case let table = index.blocks[Int(block)], control & 15 == 0,
            control > table.address, table.isFilled(to: control + buckets + 16),
            buckets < 16 || (control - table.address) % buckets == 0
        else { return nil }
        return [block]
    }

    /// All blocks of one size that the root leads to through such blocks: as many as the tree says. glibc gives a chunk out
    /// with the 16 bytes behind it where they are too few for another one.
    private mutating func nodes(
        ofTree candidate: CollectionCandidate, from root: UInt32, count: UInt64
    ) -> [UInt32]? {
        let size = index.blocks[Int(root)].size
        for sizes in [size...size, size...size + 16, size - min(16, size)...size] {
            if let nodes = nodes(from: root, but: candidate.home, count: Int(count), sizes) { return nodes }
        }
        return nil
    }

    /// Nodes begin with the left one below them: the leftmost is at the end of a chain of these.
    private mutating func nodes(ofLibcxxTree candidate: CollectionCandidate) -> [UInt32]? {
        guard let root = index.block(startingAt: candidate.words[1]),
            let leftmost = index.block(startingAt: candidate.words[0]), firstWords[Int(leftmost)] == 0
        else { return nil }
        var node = root
        var depth = 0
        // Twice the logarithm of the number of nodes (Bayer 1972).
        while node != leftmost {
            guard depth < 128, let left = index.block(startingAt: firstWords[Int(node)]) else { return nil }
            node = left
            depth += 1
        }
        return nodes(ofTree: candidate, from: root, count: candidate.words[2])
    }

    private mutating func leads(_ node: UInt32, to other: UInt32) -> Bool {
        let targets = graph.targets(of: node)
        guard visitsLeft > targets.count else { return false }
        visitsLeft -= targets.count
        return targets.contains(other)
    }

    private mutating func nodes(
        from root: UInt32, but home: UInt32?, count: Int, _ sizes: ClosedRange<UInt64>
    ) -> [UInt32]? {
        var nodes = [root]
        // Nodes lead back to the object, which may be of their size.
        var known: Set = [root, home ?? root]
        var next = 0
        while next < nodes.count {
            visitsLeft -= 1
            if visitsLeft <= 0 { return nil }
            // Parents and children lead to each other. What freed memory left behind in the elements does not.
            for target in graph.targets(of: nodes[next])
            where sizes.contains(index.blocks[Int(target)].size) && !known.contains(target) && !texts.contains(target)
                && leads(target, to: nodes[next])
            {
                known.insert(target)
                nodes.append(target)
                if nodes.count > count { return nil }
            }
            next += 1
        }
        return nodes.count == count ? nodes : nil
    }
}
