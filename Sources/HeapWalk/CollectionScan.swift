/// An object that may be one of libstdc++'s collections, by the words that it consists of.
struct CollectionCandidate {
    enum Kind { case hashTable, tree }

    var kind: Kind
    var address: UInt64
    var words: [UInt64]
    /// The block that it lies in; nil for a variable.
    var home: UInt32?
}

/// Looks for objects that are hash tables or trees where it passes: two comparisons a word.
///
/// libstdc++ (bits/hashtable.h, bits/stl_tree.h): a hash table is buckets, their number, first node, number of elements,
/// greatest load and the next resize; the load is 1 unless somebody changed it. A tree is its comparison, colour, root,
/// leftmost and rightmost node and the number of elements; the colour of the object itself is 0.
struct CollectionScan {
    private(set) var candidates: [CollectionCandidate] = []
    private let index: BlockIndex
    private let mostElements: UInt64
    /// Of a hash table's words that are kept, the last one is the bucket of one that has no more.
    private static let hashTableWords = 7
    private static let treeWords = 6
    private static let loadOfOne: UInt32 = 0x3f80_0000

    init(_ index: BlockIndex) {
        self.index = index
        mostElements = UInt64(index.blocks.count)
    }

    mutating func look(at words: UnsafeBufferPointer<UInt64>, address: UInt64, home: UInt32?) {
        guard words.count > 5 else { return }
        for last in 4..<words.count {
            if UInt32(truncatingIfNeeded: words[last]) == Self.loadOfOne, isElementCount(words[last - 1]),
                words[last - 3] > 0
            {
                add(.hashTable, words, last - 4, Self.hashTableWords, address, home)
            }
            if last > 4, isElementCount(words[last]), UInt32(truncatingIfNeeded: words[last - 4]) == 0,
                isBlock(words[last - 3]), isBlock(words[last - 2]), isBlock(words[last - 1])
            {
                add(.tree, words, last - 5, Self.treeWords, address, home)
            }
        }
    }

    private func isElementCount(_ word: UInt64) -> Bool { word > 0 && word <= mostElements }
    private func isBlock(_ word: UInt64) -> Bool { index.block(startingAt: word) != nil }

    private mutating func add(
        _ kind: CollectionCandidate.Kind, _ words: UnsafeBufferPointer<UInt64>, _ first: Int, _ count: Int,
        _ address: UInt64, _ home: UInt32?
    ) {
        guard first + count <= words.count else { return }
        candidates.append(
            CollectionCandidate(
                kind: kind, address: address + UInt64(first) * 8, words: Array(words[first..<first + count]), home: home
            ))
    }
}
