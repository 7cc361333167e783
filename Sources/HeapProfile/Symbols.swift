/// One function of a resolved address. An address inside inlined code resolves to several, innermost first.
public struct Frame: Sendable, Hashable, Codable {
    /// Demangled; nil where no symbol covers the address.
    public var function: String?
    /// File name of the module, without its folders.
    public var module: String
    public var file: String?
    public var line: Int?
    /// The code of this function stands inlined inside the next frame of the list.
    public var isInlined: Bool
    /// Address as the module's ELF file numbers it.
    public var offset: UInt64

    public init(
        function: String?, module: String, file: String? = nil, line: Int? = nil, isInlined: Bool = false,
        offset: UInt64 = 0
    ) {
        self.function = function
        self.module = module
        self.file = file
        self.line = line
        self.isInlined = isInlined
        self.offset = offset
    }

    /// The function's name, or module+offset where it has none.
    public var label: String { function ?? "\(module)+0x\(String(offset, radix: 16))" }
}

/// Resolved addresses. An address that is missing was not looked up; `frames(of:in:)` gives it a label all the same.
public struct SymbolTable: Sendable, Equatable {
    public var frames: [CodeAddress: [Frame]]

    public init(frames: [CodeAddress: [Frame]] = [:]) { self.frames = frames }

    /// The functions at `address`, innermost first, never empty.
    public func frames(of address: CodeAddress, in modules: [Module]) -> [Frame] {
        if let known = frames[address], !known.isEmpty { return known }
        let index = Int(address.module)
        let path = modules.indices.contains(index) ? modules[index].path : "unknown"
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return [Frame(function: nil, module: name, offset: address.offset)]
    }
}
