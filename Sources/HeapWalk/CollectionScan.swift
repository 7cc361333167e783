import HeapProfile
import RemoteProcess

/// An object that may be a collection, by the words that it consists of.
struct CollectionCandidate {
    var layout: CollectionLayout
    var address: UInt64
    var words: [UInt64]
    /// The block that it lies in; nil for a variable.
    var home: UInt32?
}

/// Whose collections there may be in a process, beside libstdc++'s and Swift's.
struct CollectionLibraries {
    var hasRust = false
    var hasLibcxx = false
}

extension CollectionLibraries {
    /// - Parameter variables: of each module, by its path.
    init(_ variables: [String: [Variable]]) {
        self.init()
        for (path, variables) in variables {
            if fileName(path).hasPrefix("libc++.so") { hasLibcxx = true }
            for variable in variables where !hasRust || !hasLibcxx {
                // As the linker has them: std::panicking::panic_count is in every Rust program, std::__1 libc++'s.
                if variable.name.contains("9panicking11panic_count") { hasRust = true }
                if variable.name.contains("St3__1") { hasLibcxx = true }
            }
        }
    }
}

/// Looks for objects that are collections where it passes: a few comparisons a word.
struct CollectionScan {
    private(set) var candidates: [CollectionCandidate] = []
    private(set) var vectors: [FoundVector] = []
    var texts = TextScan()
    private let index: BlockIndex
    private let libraries: CollectionLibraries
    private let mostElements: UInt64
    private static let mostCandidates = 1 << 20
    /// libc++ keeps shorter ones in the object.
    private static let longLibcxxText: UInt64 = 23
    /// Of glibc.
    private static let smallestBlock: UInt64 = 24
    private static let smallText: UInt64 = 64
    /// What grows begins with room for four.
    private static let rustRoom: Range<UInt64> = 4..<1 << 40

    init(_ index: BlockIndex, _ libraries: CollectionLibraries) {
        self.index = index
        self.libraries = libraries
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
                addCandidate(.hashTable, words, last - 4, address, home)
            }
            if libraries.hasRust, word <= words[last - 2], Self.rustRoom.contains(words[last - 2]) {
                addRustVector(words, last, address, home)
            }
            guard word > 0 else { continue }
            texts.look(words[last - 2], words[last - 1], word, index)
            if words[last - 2] < word, words[last - 2] <= words[last - 1], words[last - 1] <= word {
                addCxxVector(words, last, address, home)
            }
            if last >= 9, words[last - 9] <= words[last - 4], words[last - 4] <= word, isBlock(words[last - 9]) {
                addCandidate(.deque, words, last - 9, address, home)
            }
            if libraries.hasLibcxx { lookForLibcxx(words, last, address, home) }
            if last >= 3, words[last - 2] & (words[last - 2] &+ 1) == 0, word <= words[last - 2],
                index.block(at: words[last - 3]) != nil
            {
                addCandidate(.rustTable, words, last - 3, address, home)
            }
            // A tree's leftmost and rightmost node are where a list's first and last are.
            guard word <= mostElements, isBlock(words[last - 1]), isBlock(words[last - 2]) else { continue }
            if last >= 5, UInt32(truncatingIfNeeded: words[last - 4]) == 0, isBlock(words[last - 3]) {
                addCandidate(.tree, words, last - 5, address, home)
            }
            addCandidate(.list, words, last - 2, address, home)
            if libraries.hasLibcxx { addCandidate(.libcxxTree, words, last - 2, address, home) }
        }
    }

    private func isElementCount(_ word: UInt64) -> Bool { word > 0 && word <= mostElements }
    private func isBlock(_ word: UInt64) -> Bool { index.block(startingAt: word) != nil }

    private mutating func lookForLibcxx(
        _ words: UnsafeBufferPointer<UInt64>, _ last: Int, _ address: UInt64, _ home: UInt32?
    ) {
        // Of a long text: its room and one that says so, its length, its address.
        let room = (words[last - 2] & ~1) &- 1
        if words[last - 2] & 1 == 1, words[last - 1] >= Self.longLibcxxText {
            texts.look(words[last], words[last - 1], room, index)
        }
        guard last >= 5, words[last - 5] <= words[last - 4],
            words[last - 4] < words[last - 3], words[last - 3] <= words[last - 2],
            let map = index.block(startingAt: words[last - 5]), index.blocks[Int(map)].isFilled(to: words[last - 2])
        else { return }
        addCandidate(.libcxxDeque, words, last - 5, address, home)
    }

    /// Its elements' block is as large as the room for them, but for what the allocator rounds up.
    private mutating func addCxxVector(
        _ words: UnsafeBufferPointer<UInt64>, _ last: Int, _ address: UInt64, _ home: UInt32?
    ) {
        guard let block = index.block(startingAt: words[last - 2]), index.blocks[Int(block)].isFilled(to: words[last])
        else { return }
        addVector(.vector, words, last, block, bytes: words[last - 1] - words[last - 2], address, home)
    }

    /// Rust tells how many elements there is room for: their size follows from the block's. Those of one byte are texts.
    private mutating func addRustVector(
        _ words: UnsafeBufferPointer<UInt64>, _ last: Int, _ address: UInt64, _ home: UInt32?
    ) {
        let (room, length) = (words[last - 2], words[last])
        // Of a few elements, anything may seem to be the room; of the smallest blocks nothing tells how large they are.
        guard length > 0 || room >= 32, let block = index.block(startingAt: words[last - 1]),
            case let found = index.blocks[Int(block)], found.size > Self.smallestBlock
        else { return }
        guard let stride = Self.stride(of: found, room) else { return }
        // Of 16-bit numbers half as many fit; in a small block it may be either.
        if length > 0, found.size - room < 16 { return texts.look(words[last - 1], length, room - 1, index) }
        if stride < 4, found.size < Self.smallText { return }
        // Behind the room and the block of a VecDeque stand where its first element is and how many there are; or it is a Vec
        // with a number behind it. Elements may be anywhere.
        let mayBeDeque =
            last + 2 < words.count && (1...room).contains(words[last + 1]) && !isBlock(words[last + 2])
        if mayBeDeque, length == 0 {
            addVector(.rustDeque, words, last + 1, block, bytes: found.size, address, home)
        } else {
            addVector(.rustVec, words, last, block, bytes: mayBeDeque ? found.size : length * stride, address, home)
        }
    }

    /// Bytes of an element, for so many of which the block was made: a multiple of 4, but for the smallest.
    private static func stride(of block: HeapBlock, _ room: UInt64) -> UInt64? {
        let most = block.size / room
        let likely = most < 8 ? [most] : [most & ~7, most & ~3]
        return likely.first { $0 > 0 && block.isFilled(to: block.address + room * $0) }
    }

    private mutating func addVector(
        _ layout: CollectionLayout, _ words: UnsafeBufferPointer<UInt64>, _ last: Int, _ block: UInt32, bytes: UInt64,
        _ address: UInt64, _ home: UInt32?
    ) {
        let first = last - layout.wordCount + 1
        guard let container = layout.container(words[first...last]),
            vectors.count <= max(Self.mostCandidates, index.blocks.count / 2)
        else { return }
        vectors.append(
            FoundVector(
                layout: layout, address: address + UInt64(first) * 8, home: home, block: block,
                count: container.count, capacity: container.capacity ?? 0, bytes: bytes))
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

    private mutating func addCandidate(
        _ layout: CollectionLayout, _ words: UnsafeBufferPointer<UInt64>, _ first: Int, _ address: UInt64,
        _ home: UInt32?
    ) {
        let object = words.dropFirst(first).prefix(layout.wordCount)
        let at = address + UInt64(first) * 8
        if layout == .list || layout == .libcxxTree, let home, isNode(index.blocks[Int(home)], at, leadsTo: object) {
            return
        }
        guard candidates.count < Self.mostCandidates, layout.container(object) != nil else { return }
        candidates.append(CollectionCandidate(layout: layout, address: at, words: Array(object), home: home))
    }
}
