import HeapProfile
import RemoteProcess

/// Recognises the storage object of a Swift collection that a root holds, by its type and its structure: a count alone is
/// never believed. Array, Dictionary and Set (stdlib/public/core, ContiguousArrayBuffer.swift, NativeDictionary.swift).
struct ContainerReader {
    let memory: RemoteMemory
    let index: BlockIndex
    let types: ContiguousArray<UInt32>
    let typeNames: [String]

    func container(of root: HeapRoot) -> HeapSurvey.Container? {
        for target in Set(root.targets).sorted() {
            if let container = swift(target) { return container }
        }
        return nil
    }

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
}
