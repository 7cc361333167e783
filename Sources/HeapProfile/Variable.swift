/// A variable of a module, as its symbol table has it.
public struct Variable: Sendable, Equatable {
    /// Address as the module's file numbers it; of a thread-local, the offset in the module's block.
    public var start: UInt64
    /// In bytes, at least 1.
    public var size: UInt64
    /// As the symbol table spells it.
    public var name: String
    public var isThreadLocal: Bool

    public init(start: UInt64, size: UInt64, name: String, isThreadLocal: Bool = false) {
        self.start = start
        self.size = size
        self.name = name
        self.isThreadLocal = isThreadLocal
    }
}
