import HeapProfile

/// The collections whose layout is known: where their count is, and what the words around it must be like.
///
/// libstdc++ (bits/hashtable.h, bits/stl_tree.h, bits/stl_list.h): a hash table is buckets, their number, first node,
/// number of elements, greatest load and the next resize; the load is 1 unless somebody changed it. A tree is its
/// comparison, colour, root, leftmost and rightmost node and the number of elements; the colour of the object itself is 0.
/// A list is first node, last node and their number. A vector (bits/stl_vector.h, and libc++'s) is begin, end, and the
/// end of what there is room for. A deque (bits/stl_deque.h) is its map of nodes, the room of that, and of the first element
/// and behind the last one four words: its address, begin and end of its node, and that one's place in the map.
///
/// libc++'s hash tables and lists are like these (llvm's libcxx/include/__hash_table, list); its trees (__tree) are leftmost
/// node, root and number; its deques (deque, __split_buffer) a buffer of nodes, in which they begin and end, its end, number
/// of the first element, and how many there are.
///
/// Rust's tables (hashbrown, raw/mod.rs) are control bytes, their number less one, room that is left before it grows, and
/// items; a Vec (alloc/src/vec, raw_vec) is its capacity, its block and its length, a VecDeque (collections/vec_deque) has
/// the number of the first element before the latter.
///
/// Swift's storage objects (stdlib/public/core, ContiguousArrayBuffer.swift,
/// NativeDictionary.swift) hold count and capacity behind the object's head.
enum CollectionLayout: String {
    case hashTable = "std::unordered_map or set"
    case tree = "std::map or set"
    case list = "std::list"
    case vector = "std::vector"
    case deque = "std::deque"
    case libcxxTree = "std::__1::map or set"
    case libcxxDeque = "std::__1::deque"
    case rustTable = "HashMap or HashSet"
    case rustVec = "Vec"
    case rustDeque = "VecDeque"
    case array = "Array"
    case dictionary = "Dictionary"
    case set = "Set"

    /// Words of the object, or of the head of a storage object.
    var wordCount: Int {
        switch self {
        case .deque: 10
        case .hashTable: 5  // libstdc++'s has two more
        case .tree, .libcxxDeque: 6
        case .list, .vector, .libcxxTree, .rustVec: 3
        case .rustTable, .rustDeque, .array, .dictionary, .set: 4
        }
    }

    /// Its words tell bytes: how many elements these are, other things have to tell.
    var isInBytes: Bool { kindInBytes != nil }

    /// What it is called where nothing tells.
    var kindInBytes: String? {
        switch self {
        case .vector: HeapSurvey.Container.vectorOfBytes
        case .deque: HeapSurvey.Container.dequeOfBytes
        default: nil
        }
    }

    init?(kindInBytes kind: String) {
        guard let layout = [Self.vector, .deque].first(where: { $0.kindInBytes == kind }) else { return nil }
        self = layout
    }

    /// Where in a block one of its elements is tells nothing about what that is.
    var hasManyElementsABlock: Bool {
        switch self {
        case .vector, .rustVec, .rustDeque, .deque, .libcxxDeque, .rustTable, .array, .dictionary, .set: true
        case .hashTable, .tree, .list, .libcxxTree: false
        }
    }

    /// Swift's: an object of its own, whose type tells.
    var isStorage: Bool { self == .array || self == .dictionary || self == .set }

    /// By the name of a storage object's type.
    init?(storageType name: String) {
        switch name.prefix(while: { $0 != "<" }) {
        case "Swift._ContiguousArrayStorage": self = .array
        case "Swift._DictionaryStorage": self = .dictionary
        case "Swift._SetStorage": self = .set
        default: return nil
        }
    }

    /// What the object's words say; nil where they cannot be one's. It may be empty.
    func container(_ words: some RandomAccessCollection<UInt64>) -> HeapSurvey.Container? {
        guard words.count >= wordCount else { return nil }
        func word(_ number: Int) -> UInt64 { words[words.index(words.startIndex, offsetBy: number)] }
        let count: UInt64
        var capacity: UInt64?
        switch self {
        case .hashTable:
            guard UInt32(truncatingIfNeeded: word(4)) == Self.loadOfOne, word(1) > 0 else { return nil }
            (count, capacity) = (word(3), word(1))
        case .tree:
            guard UInt32(truncatingIfNeeded: word(1)) == 0 else { return nil }
            count = word(5)
        case .list, .libcxxTree:
            guard word(0) != 0, word(1) != 0 else { return nil }
            count = word(2)
        case .vector:
            guard word(0) <= word(1), word(1) <= word(2) else { return nil }
            (count, capacity) = (word(1) - word(0), word(2) - word(0))
        case .deque:
            guard let bytes = Self.dequeBytes(word) else { return nil }
            count = bytes
        case .libcxxDeque:
            guard word(0) <= word(1), word(1) < word(2), word(2) <= word(3), word(3) - word(0) < 1 << 40,
                (word(2) - word(1)) % 8 == 0,
                word(4) < 1 << 50, word(5) < 1 << 50, word(4) + word(5) <= (word(2) - word(1)) / 8 * Self.libcxxNode
            else { return nil }
            count = word(5)
        case .rustVec:
            guard word(1) != 0 else { return nil }
            (count, capacity) = (word(2), word(0))
        case .rustDeque:
            guard word(1) != 0, word(2) < word(0) else { return nil }
            (count, capacity) = (word(3), word(0))
        case .rustTable:
            guard let room = Self.rustCapacity(mask: word(1)), word(3) <= room, word(2) <= room - word(3) else {
                return nil
            }
            (count, capacity) = (word(3), room)
        case .array: (count, capacity) = (word(2), word(3) >> 1)
        case .dictionary, .set: (count, capacity) = (word(2), word(3))
        }
        guard count < 1 << 40, capacity.map({ self == .hashTable || count <= $0 }) ?? true else { return nil }
        return HeapSurvey.Container(kind: rawValue, count: count, capacity: capacity)
    }

    static let loadOfOne: UInt32 = 0x3f80_0000

    /// Bytes of a node of libc++'s deques, which is as many elements at the most.
    static let libcxxNode: UInt64 = 4096

    /// Nodes of libstdc++'s deques take as many elements as go into 512 bytes, or one that is larger.
    private static let dequeNodes: ClosedRange<UInt64> = 257...1 << 20

    private static func dequeBytes(_ word: (Int) -> UInt64) -> UInt64? {
        let (map, room) = (word(0), word(1))
        let (first, last) = (word(5), word(9))
        guard room < 1 << 36, map <= first, first <= last, last - map < room * 8, (first - map) % 8 == 0,
            (last - first) % 8 == 0, word(3) <= word(2), word(2) <= word(4), word(7) <= word(6), word(6) <= word(8)
        else { return nil }
        let node = word(4) - word(3)
        guard dequeNodes.contains(node), word(8) - word(7) == node else { return nil }
        let (before, end) = (word(2) - word(3), (last - first) / 8 * node + (word(6) - word(7)))
        return before <= end ? end - before : nil
    }

    /// Seven eighths of the buckets, of small tables all but one.
    private static func rustCapacity(mask: UInt64) -> UInt64? {
        guard mask > 0, mask < 1 << 40, mask & (mask + 1) == 0 else { return nil }
        return mask < 8 ? mask : (mask + 1) / 8 * 7
    }
}
