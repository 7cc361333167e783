import HeapGraph

/// Lists and trees of a program's own: in many blocks of a kind there is at one place a pointer to another of the kind, and
/// hardly two of them lead to the same. Of a kind are blocks of one size, and those that glibc made larger by 16 bytes, which
/// are too few for a chunk.
///
/// A node is held by the one before it. What else leads to it, here and there, from blocks of which nothing tells the type,
/// may be what freed memory left behind in them, and one such word would share the whole rest of a list. Where nodes are led
/// to from outside as a rule, as those of a table that are in a list of the latest as well, that is no chance.
struct Chains {
    /// From a place in a block to a place in another one.
    private struct Link: Hashable {
        var from: UInt64
        var to: UInt64
    }

    /// Between blocks of a size, or of it and the next larger one.
    private struct Pair: Hashable {
        var size: UInt64
        var isMixed: Bool
        var link: Link
    }

    /// Of nodes: what is larger is few, and mostly buffers.
    private static let largest: UInt64 = 4096
    private static let step: UInt64 = 16
    /// Links, and of how many blocks of the kind one: fewer may have come about by chance.
    private static let fewest: UInt32 = 256
    private static let smallestShare: UInt32 = 8
    /// Links of a kind that are looked at, and of all that are counted: whatever a heap is made of costs no more.
    private static let mostLinks = 8
    private static let mostPairs = 1 << 20

    private var counts: [Pair: UInt32] = [:]

    /// Of a block without a type, the word at `offset` leads to `target`.
    mutating func see(_ word: UInt64, at offset: UInt64, in block: HeapBlock, to target: HeapBlock) {
        guard Self.areFellows(block, target), block.size <= Self.largest, block != target else { return }
        let link = Link(from: offset, to: target.offset(of: word))
        let pair = Pair(size: min(block.size, target.size), isMixed: block.size != target.size, link: link)
        guard link.to % 8 == 0, counts.count < Self.mostPairs || counts[pair] != nil else { return }
        counts[pair, default: 0] += 1
    }

    /// Of the graph's edges those that lead into the midst of chains and may be none.
    ///
    /// - Parameter isUnknown: of a block, whether nothing tells its type.
    func strays(
        _ graph: HeapGraph, _ index: BlockIndex, _ memory: some MemorySource, isUnknown: (UInt32) -> Bool
    ) -> ContiguousArray<UInt64> {
        let links = Dictionary(grouping: common(), by: \.size)
        if links.isEmpty { return [] }
        let members = members(ofSizes: Set(links.keys.flatMap { [$0, $0 + Self.step] }), index, isUnknown)
        var inner = NodeSet(nodeCount: graph.nodeCount)
        for (size, links) in links {
            let kind = ((members[size] ?? []) + (members[size + Self.step] ?? [])).sorted()
            let least = UInt32(kind.count) / Self.smallestShare
            let ordered = links.filter { $0.count >= least }.sorted {
                ($0.count, $1.link.from, $1.link.to) > ($1.count, $0.link.from, $0.link.to)
            }
            for node in Self.inner(ordered.prefix(Self.mostLinks).map(\.link), kind, index, memory) {
                inner.insert(node)
            }
        }
        return Self.edges(into: inner, members, graph, index, isUnknown)
    }

    private static func areFellows(_ a: HeapBlock, _ b: HeapBlock) -> Bool {
        max(a.size, b.size) - min(a.size, b.size) <= step
    }

    /// Those that may be a chain's, by the smaller size of their kind.
    private func common() -> [(size: UInt64, link: Link, count: UInt32)] {
        let mixed = Set(counts.keys.lazy.filter(\.isMixed).map(\.size))
        var sums: [Pair: UInt32] = [:]
        for (pair, count) in counts {
            sums[Pair(size: pair.size, isMixed: true, link: pair.link), default: 0] += count
            if !pair.isMixed, pair.size > Self.step, mixed.contains(pair.size - Self.step) {
                sums[Pair(size: pair.size - Self.step, isMixed: true, link: pair.link), default: 0] += count
            }
        }
        return sums.filter { $0.value >= Self.fewest }.map { ($0.key.size, $0.key.link, $0.value) }
    }

    private func members(
        ofSizes sizes: Set<UInt64>, _ index: BlockIndex, _ isUnknown: (UInt32) -> Bool
    ) -> [UInt64: [UInt32]] {
        var members = Dictionary(uniqueKeysWithValues: sizes.map { ($0, [UInt32]()) })
        for (number, block) in index.blocks.enumerated() where sizes.contains(block.size) && isUnknown(UInt32(number)) {
            members[block.size]?.append(UInt32(number))
        }
        return members
    }

    /// The nodes that others lead to. Those at the ends of a list that is linked both ways are led to by one of its links
    /// alone, and are as good as outside.
    private static func inner(
        _ links: [Link], _ kind: [UInt32], _ index: BlockIndex, _ memory: some MemorySource
    ) -> [UInt32] {
        var inner: [UInt32] = []
        for targets in targets(of: links, kind, index, memory) {
            let both = inner.filter(targets.contains)
            let isOtherWay = !inner.isEmpty && both.count * 4 > inner.count * 3
            inner = isOtherWay ? both : inner.filter { !targets.contains($0) } + kind.filter(targets.contains)
        }
        return inner
    }

    /// Of each link; none where many lead to the same.
    private static func targets(
        of links: [Link], _ kind: [UInt32], _ index: BlockIndex, _ memory: some MemorySource
    ) -> [NodeSet] {
        let none = NodeSet(nodeCount: index.blocks.count)
        var window = MemoryWindow(memory, size: 1 << 13)  // nodes may be far from one another
        var targets = links.map { _ in none }
        var (pointers, counts) = (links.map { _ in 0 }, links.map { _ in 0 })
        for node in kind {
            let block = index.blocks[Int(node)]
            for (number, link) in links.enumerated() {
                guard let word = window.word(block.address + link.from), let target = index.block(at: word),
                    target != node, areFellows(block, index.blocks[Int(target)]),
                    index.blocks[Int(target)].offset(of: word) == link.to
                else { continue }
                pointers[number] += 1
                counts[number] += targets[number].insert(target) ? 1 : 0
            }
        }
        return links.indices.map { counts[$0] * 4 >= pointers[$0] * 3 ? targets[$0] : none }
    }

    /// Three of four words lead to nodes: what freed memory left behind is sparser.
    private static func isTable(_ block: HeapBlock, pointers: Int) -> Bool {
        block.size >= 128 && UInt64(pointers) * 8 >= block.size / 4 * 3
    }

    /// Those from blocks of other kinds, but for kinds of which half of the nodes are led to so, and but for tables, which are
    /// made of such pointers. A buffer of the nodes' own size is taken for one of them.
    private static func edges(
        into inner: NodeSet, _ members: [UInt64: [UInt32]], _ graph: HeapGraph, _ index: BlockIndex,
        _ isUnknown: (UInt32) -> Bool
    ) -> ContiguousArray<UInt64> {
        var edges: ContiguousArray<UInt64> = []
        var known = NodeSet(nodeCount: graph.nodeCount)
        for source in 0..<UInt32(graph.nodeCount) {
            let before = edges.count
            let block = index.blocks[Int(source)]
            for target in graph.targets(of: source) where inner.contains(target) {
                guard !areFellows(block, index.blocks[Int(target)]), isUnknown(source) else { continue }
                edges.append(DoubtfulEdges.edge(source, target))
                known.insert(target)
            }
            if isTable(block, pointers: edges.count - before) { edges.removeLast(edges.count - before) }
        }
        let asARule = Set(members.keys).filter { size in
            let fellows = [size &- step, size, size + step].compactMap { members[$0] }.joined()
            return fellows.count(where: known.contains) * 2 >= fellows.count(where: inner.contains)
        }
        edges.removeAll { asARule.contains(index.blocks[Int(DoubtfulEdges.target($0))].size) }
        return edges
    }
}
