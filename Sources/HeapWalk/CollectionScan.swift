/// An object that may be a collection, by the words that it consists of.
struct CollectionCandidate {
    var layout: CollectionLayout
    var address: UInt64
    var words: [UInt64]
    /// The block that it lies in; nil for a variable.
    var home: UInt32?
}

/// A vector, whose elements may be of any size.
struct FoundVector {
    var address: UInt64
    /// The block that it lies in; nil for a variable.
    var home: UInt32?
    /// Its elements'.
    var block: UInt32
    /// Of the elements, and of the room for them.
    var bytes: UInt64
    var room: UInt64
}

/// Looks for objects that are collections where it passes: a few comparisons a word.
struct CollectionScan {
    private(set) var candidates: [CollectionCandidate] = []
    private(set) var vectors: [FoundVector] = []
    var texts = TextScan()
    private let index: BlockIndex
    private let mostElements: UInt64
    private static let mostCandidates = 1 << 20

    init(_ index: BlockIndex) {
        self.index = index
        mostElements = UInt64(index.blocks.count)
    }

    /// What was left out, one line each.
    var doubts: [String] {
        let isFull =
            candidates.count >= Self.mostCandidates || vectors.count > max(Self.mostCandidates, index.blocks.count / 2)
        return isFull ? ["more looks like collections than can be looked through: some of them are not told"] : []
    }

    mutating func look(at words: UnsafeBufferPointer<UInt64>, address: UInt64, home: UInt32?) {
        for last in words.indices.dropFirst(2) {
            let word = words[last]
            if UInt32(truncatingIfNeeded: word) == CollectionLayout.loadOfOne, last >= 4,
                isElementCount(words[last - 1]),
                words[last - 3] > 0
            {
                add(.hashTable, words, last - 4, address, home)
            }
            guard word > 0 else { continue }
            if TextScan.canBe(length: words[last - 1], capacity: word) {
                texts.look(words[last - 2], words[last - 1], word, index)
            }
            if words[last - 2] < word, words[last - 2] <= words[last - 1], words[last - 1] <= word {
                addVector(words[last - 2], words[last - 1], word, address + UInt64(last - 2) * 8, home)
            }
            if last >= 3, words[last - 2] & (words[last - 2] &+ 1) == 0, word <= words[last - 2],
                index.block(at: words[last - 3]) != nil
            {
                add(.rustTable, words, last - 3, address, home)
            }
            // A tree's leftmost and rightmost node are where a list's first and last are.
            guard word <= mostElements, isBlock(words[last - 1]), isBlock(words[last - 2]) else { continue }
            if last >= 5, UInt32(truncatingIfNeeded: words[last - 4]) == 0, isBlock(words[last - 3]) {
                add(.tree, words, last - 5, address, home)
            }
            add(.list, words, last - 2, address, home)
        }
    }

    private func isElementCount(_ word: UInt64) -> Bool { word > 0 && word <= mostElements }
    private func isBlock(_ word: UInt64) -> Bool { index.block(startingAt: word) != nil }

    /// Its elements' block is as large as the room for them, but for what the allocator rounds up.
    private mutating func addVector(
        _ begin: UInt64, _ end: UInt64, _ roomEnd: UInt64, _ address: UInt64, _ home: UInt32?
    ) {
        guard let block = index.block(startingAt: begin), index.blocks[Int(block)].isFilled(to: roomEnd) else { return }
        guard vectors.count <= max(Self.mostCandidates, index.blocks.count / 2) else { return }
        vectors.append(
            FoundVector(address: address, home: home, block: block, bytes: end - begin, room: roomEnd - begin))
    }

    /// Nodes of lists and trees look like lists where their elements are small numbers. They are of one size, and a list's
    /// links stand first.
    private func isNode(
        _ home: HeapBlock, _ address: UInt64, leadsTo words: some Collection<UInt64>
    ) -> Bool {
        guard home.address != address, let next = words.first, let block = index.block(startingAt: next) else {
            return true
        }
        let size = index.blocks[Int(block)].size
        return max(size, home.size) - min(size, home.size) <= 16
    }

    private mutating func add(
        _ layout: CollectionLayout, _ words: UnsafeBufferPointer<UInt64>, _ first: Int, _ address: UInt64,
        _ home: UInt32?
    ) {
        let object = words.dropFirst(first).prefix(layout.wordCount)
        let at = address + UInt64(first) * 8
        if layout == .list, let home, isNode(index.blocks[Int(home)], at, leadsTo: object) { return }
        guard candidates.count < Self.mostCandidates, layout.container(object) != nil else { return }
        candidates.append(CollectionCandidate(layout: layout, address: at, words: Array(object), home: home))
    }
}
