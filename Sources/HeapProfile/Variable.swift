/// A variable of a module, as its symbol table has it.
public struct Variable: Sendable, Equatable {
    /// Address as the module's file numbers it; of a thread-local, the offset in the module's block.
    public var start: UInt64
    /// In bytes, at least 1.
    public var size: UInt64
    /// As the symbol table spells it.
    public var name: String
    public var isThreadLocal: Bool
    /// As the debug information declares it; nil where there is none, and for Swift's, whose names say it.
    public var type: String?
    /// Bytes of an element, where it is known to be a `std::vector` or `std::deque`.
    public var elementSize: UInt64?

    public init(start: UInt64, size: UInt64, name: String, isThreadLocal: Bool = false) {
        self.start = start
        self.size = size
        self.name = name
        self.isThreadLocal = isThreadLocal
    }
}
