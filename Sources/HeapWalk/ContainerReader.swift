import HeapProfile
import RemoteProcess

/// Recognises the collection that a root is or holds, by its structure: a count alone is never believed.
///
/// Swift: the storage objects of Array, Dictionary and Set (stdlib/public/core, ContiguousArrayBuffer.swift,
/// NativeDictionary.swift). libstdc++: bits/hashtable.h and bits/stl_tree.h, of objects of exactly their size.
struct ContainerReader {
    let memory: RemoteMemory
    let index: BlockIndex
    let firstWords: ContiguousArray<UInt64>
    let types: ContiguousArray<UInt32>
    let typeNames: [String]

    /// Nodes of a chain that are visited at the most: the process waits meanwhile.
    private static let patience = 1_000_000

    func container(of root: HeapRoot) -> HeapSurvey.Container? {
        for target in Set(root.targets).sorted() {
            if let container = swift(target) { return container }
        }
        switch root.size {
        case 56: return hashTable(at: root.address)
        case 48: return tree(at: root.address)
        default: return nil
        }
    }

    // MARK: Swift

    private func swift(_ block: UInt32) -> HeapSurvey.Container? {
        let kinds = [
            "Swift._ContiguousArrayStorage": "Array", "Swift._DictionaryStorage": "Dictionary",
            "Swift._SetStorage": "Set",
        ]
        let type = typeNames[Int(types[Int(block)])].prefix { $0 != "<" }
        guard let kind = kinds[String(type)],
            case let words = memory.words(index.blocks[Int(block)].address + 16, 2), words.count == 2
        else { return nil }
        let capacity = kind == "Array" ? words[1] >> 1 : words[1]
        // An element takes no more than the whole block, and no less than nothing.
        guard words[0] <= capacity, capacity <= index.blocks[Int(block)].size * 8 else { return nil }
        return .init(kind: kind, count: words[0], capacity: capacity)
    }

    // MARK: libstdc++

    /// Buckets, their number, the first node and the number of nodes, which form one chain by their first words.
    private func hashTable(at address: UInt64) -> HeapSurvey.Container? {
        let words = memory.words(address, 7)
        guard words.count == 7, words[1] > 0, words[3] > 0, words[3] <= UInt64(index.blocks.count),
            words[0] == address + 48 || isStart(words[0])
        else { return nil }
        var node = words[2]
        for visited in 0..<min(words[3], UInt64(Self.patience)) {
            guard let block = start(node) else { return nil }
            node = firstWords[Int(block)]
            if node == 0, visited + 1 != words[3] { return nil }
        }
        guard node == 0 || words[3] > UInt64(Self.patience) else { return nil }
        return .init(kind: "std::unordered_map or set", count: words[3], capacity: words[1])
    }

    /// The root node's parent is the header in the object itself.
    private func tree(at address: UInt64) -> HeapSurvey.Container? {
        let words = memory.words(address, 6)
        guard words.count == 6, words[5] > 0, words[5] <= UInt64(index.blocks.count), isStart(words[2]),
            isStart(words[3]),
            isStart(words[4]), memory.word(words[2] + 8) == address + 8
        else { return nil }
        return .init(kind: "std::map or set", count: words[5])
    }

    private func start(_ address: UInt64) -> UInt32? {
        index.block(at: address).flatMap { index.blocks[Int($0)].address == address ? $0 : nil }
    }

    private func isStart(_ address: UInt64) -> Bool { start(address) != nil }
}
