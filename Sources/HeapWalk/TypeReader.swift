import RemoteProcess

/// Reads types by vtables and by Swift metadata, in stripped programs as well.
///
/// C++: the word before a vtable's first entry leads to the class's type information, whose second word is its name
/// (Itanium C++ ABI 2.5.2, 2.9.4). Swift: a class's metadata begin with a kind and lead to its context descriptor
/// (swift/ABI/Metadata.h, MetadataValues.h; Linux, without Objective-C).
struct TypeReader {
    private let memory: RemoteMemory
    private let map: MemoryMap
    /// Numbers of types by first word; nil: it tells nothing.
    private var known: [UInt64: UInt32?] = [:]
    private var numbers: [String: UInt32] = [:]
    private var sizes: [UInt64: UInt32] = [:]
    /// C++ names as `_ZTS…`, Swift's as `App.Tracker.Event`; where nothing tells, the size.
    private(set) var names: [String] = []
    /// Of the types that are storage objects of collections.
    private(set) var layouts: [CollectionLayout?] = []
    /// Number of the type of Swift's texts, once there is one.
    private(set) var textType: UInt32?

    init(_ memory: RemoteMemory, _ map: MemoryMap) {
        self.memory = memory
        self.map = map
    }

    /// Name of the type that a first word tells, if any.
    mutating func name(_ word: UInt64) -> String? {
        let unknown = type(ofSize: 0)
        let number = type(word, size: 0)
        return number == unknown ? nil : names[Int(number)]
    }

    /// Number of the type of a block, by its first word or else by its size.
    mutating func type(_ word: UInt64, size: UInt64) -> UInt32 {
        guard word & 7 == 0, word >= 4096, word < 1 << 47 else { return type(ofSize: size) }
        if let type = known[word] { return type ?? self.type(ofSize: size) }
        let name = isInFile(word) ? cxx(word) ?? swift(word) : isReadable(word) ? swift(word) : nil
        let type = name.map { number(of: $0) }
        known[word] = .some(type)
        return type ?? self.type(ofSize: size)
    }

    /// Nothing but the size of a block tells what it is.
    func isUnknown(_ type: UInt32, size: UInt64) -> Bool { sizes[size] == type }

    private mutating func type(ofSize size: UInt64) -> UInt32 {
        if let number = sizes[size] { return number }
        let number = number(of: "\(size) bytes")
        sizes[size] = number
        return number
    }

    private mutating func number(of name: String) -> UInt32 {
        if let number = numbers[name] { return number }
        numbers[name] = UInt32(names.count)
        names.append(name)
        layouts.append(CollectionLayout(storageType: name))
        if name == "Swift.__StringStorage" { textType = UInt32(names.count - 1) }
        return UInt32(names.count - 1)
    }

    private func isInFile(_ address: UInt64) -> Bool {
        map.mapping(at: address).map { $0.isReadable && ($0.isFile || !$0.isWritable) } ?? false
    }

    private func isReadable(_ address: UInt64) -> Bool { map.mapping(at: address)?.isReadable ?? false }

    // MARK: C++

    private func cxx(_ vtable: UInt64) -> String? {
        guard let information = memory.word(vtable - 8), information & 7 == 0, isReadable(information),
            let words = memory.read(information, 16)
        else { return nil }
        let name = RemoteProcess.number(words, at: 8, size: 8)
        guard isReadable(RemoteProcess.number(words, at: 0, size: 8)), isReadable(name),
            let text = memory.string(name & ~(1 << 63)),
            Self.isTypeName(text)
        else { return nil }
        return "_ZTS" + (text.hasPrefix("*") ? text.dropFirst() : text[...])
    }

    /// Itanium C++ ABI 5.1: a length and a name, a nested name, a substitution.
    private static func isTypeName(_ text: String) -> Bool {
        let name = text.hasPrefix("*") ? text.dropFirst() : text[...]
        guard let first = name.utf8.first, name.utf8.count > 1 else { return false }
        let begins = (49...57).contains(first) || first == UInt8(ascii: "N") || first == UInt8(ascii: "S")
        return begins
            && name.utf8.allSatisfy {
                $0 == 95 || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
            }
    }

    // MARK: Swift

    private func swift(_ metadata: UInt64) -> String? {
        guard let kind = memory.word(metadata) else { return nil }
        switch kind {
        case 0: return named(descriptor: memory.word(metadata + 40), metadata)
        case 0x400:
            let captured = captures(memory.word(metadata + 16))
            let context = "Swift closure context or box"
            return captured.isEmpty ? context : "\(context) of \(captured.joined(separator: ", "))"
        case 0x500: return "Swift generic box"
        case 0x501: return "Swift error"
        case 0x502: return "Swift task"
        default: return nil
        }
    }

    /// The program's own types that a closure captures, by the description of its context (swift/RemoteInspection/Records.h:
    /// three counts, and a mangled name for each capture, in which 1 and 2 stand before the distance to a type).
    private func captures(_ description: UInt64?) -> [String] {
        guard let description, description & 3 == 0, isInFile(description), let head = memory.read(description, 12)
        else { return [] }
        let count = min(8, RemoteProcess.number(head, at: 0, size: 4))
        var names: [String] = []
        for record in stride(from: description + 12, to: description + 12 + 4 * count, by: 4) {
            guard let distance = memory.read(record, 4) else { break }
            names += types(inMangledName: relative(distance, 0, from: record)).filter { !names.contains($0) }
        }
        return names
    }

    private func types(inMangledName address: UInt64) -> [String] {
        var names: [String] = []
        var at = address
        while at &- address < 256, isInFile(at), let byte = memory.read(at, 1)?.first, byte != 0 {
            guard byte < 0x20 else {
                at += 1
                continue
            }
            if byte < 3, let distance = memory.read(at + 1, 4) {
                let target = relative(distance, 0, from: at + 1)
                if let name = descriptor(byte == 1 ? target : memory.word(target)) { names.append(name) }
            }
            at += byte < 0x18 ? 5 : 9
        }
        return names
    }

    /// With the types that a generic class was made for.
    private func named(descriptor address: UInt64?, _ metadata: UInt64) -> String? {
        guard let address, let name = descriptor(address) else { return nil }
        guard let words = memory.read(address, 44), RemoteProcess.number(words, at: 0, size: 4) & 0x80 != 0 else {
            return name
        }
        let positive = RemoteProcess.number(words, at: 28, size: 4)
        let immediate = RemoteProcess.number(words, at: 32, size: 4)
        guard positive < 4096, immediate <= positive else { return name }
        let first = metadata + 8 * (positive - immediate)
        let count: UInt64 = name == "Swift._DictionaryStorage" ? 2 : 1
        let arguments = (0..<count).compactMap { memory.word(first + 8 * $0).flatMap(argument) }
        return arguments.count == Int(count) ? "\(name)<\(arguments.joined(separator: ", "))>" : name
    }

    /// The name of a type by its metadata: a class, a structure or an enumeration, of generic ones without arguments.
    private func argument(_ metadata: UInt64) -> String? {
        guard metadata & 7 == 0, isReadable(metadata), let kind = memory.word(metadata) else { return nil }
        switch kind {
        case 0: return descriptor(memory.word(metadata + 40))
        case 0x200, 0x201, 0x202: return descriptor(memory.word(metadata + 8))
        case 0x303: return "AnyObject"  // arrays of objects share one storage class
        default: return nil
        }
    }

    /// The name in a type's context descriptor with those of the contexts around it.
    private func descriptor(_ address: UInt64?) -> String? {
        guard var at = address else { return nil }
        var names: [String] = []
        while names.count < 16, at & 3 == 0, isInFile(at), let head = memory.read(at, 12) {
            let kind = RemoteProcess.number(head, at: 0, size: 4) & 0x1f
            // Module, extension and anonymous contexts lie around types.
            guard kind == 0 || kind == 1 || kind == 2 || (16...18).contains(kind) else { return nil }
            if kind == 0 || kind >= 16, let name = memory.string(relative(head, 8, from: at)), Self.isIdentifier(name) {
                names.append(name)
            } else if names.isEmpty {
                return nil
            }
            if kind == 0 { return names.reversed().joined(separator: ".") }
            let offset = RemoteProcess.number(head, at: 4, size: 4)
            guard offset != 0 else { break }
            let parent = relative(head, 4, from: at)
            // The lowest bit: it lies behind a pointer, of another module.
            at = offset & 1 == 0 ? parent : memory.word(parent & ~1) ?? 0
        }
        return names.isEmpty ? nil : names.reversed().joined(separator: ".")
    }

    private func relative(_ bytes: [UInt8], _ offset: Int, from address: UInt64) -> UInt64 {
        let distance = Int32(truncatingIfNeeded: RemoteProcess.number(bytes, at: offset, size: 4))
        return address &+ UInt64(offset) &+ UInt64(bitPattern: Int64(distance))
    }

    private static func isIdentifier(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count < 1024
            && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
    }
}
