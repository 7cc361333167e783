import HeapProfile

/// The collections whose layout is known: where their count is, and what the words around it must be like.
///
/// libstdc++ (bits/hashtable.h, bits/stl_tree.h, bits/stl_list.h): a hash table is buckets, their number, first node,
/// number of elements, greatest load and the next resize; the load is 1 unless somebody changed it. A tree is its
/// comparison, colour, root, leftmost and rightmost node and the number of elements; the colour of the object itself is 0.
/// A list is first node, last node and their number. A vector (bits/stl_vector.h, and libc++'s) is begin, end, and the
/// end of what there is room for. Rust's tables (hashbrown, raw/mod.rs) are control bytes, their number less one, room that
/// is left before it grows, and items. Swift's storage objects (stdlib/public/core, ContiguousArrayBuffer.swift,
/// NativeDictionary.swift) hold count and capacity behind the object's head.
enum CollectionLayout: String {
    case hashTable = "std::unordered_map or set"
    case tree = "std::map or set"
    case list = "std::list"
    case vector = "std::vector"
    case rustTable = "HashMap or HashSet"
    case array = "Array"
    case dictionary = "Dictionary"
    case set = "Set"

    /// Words of the object, or of the head of a storage object.
    var wordCount: Int {
        switch self {
        case .hashTable: 7  // the last one is the bucket of a table that has no more
        case .tree: 6
        case .list, .vector: 3
        case .rustTable, .array, .dictionary, .set: 4
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
        case .list:
            guard word(0) != 0, word(1) != 0 else { return nil }
            count = word(2)
        case .vector: return nil
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

    /// Seven eighths of the buckets, of small tables all but one.
    private static func rustCapacity(mask: UInt64) -> UInt64? {
        guard mask > 0, mask < 1 << 40, mask & (mask + 1) == 0 else { return nil }
        return mask < 8 ? mask : (mask + 1) / 8 * 7
    }
}
