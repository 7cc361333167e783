/// A variable of a module, as its symbol table has it.
package struct DataSymbol: Equatable, Sendable {
    /// Address as the module's file numbers it; of a thread-local, the offset in the module's block.
    package var start: UInt64
    package var size: UInt64
    /// As the symbol table spells it.
    package var name: String
    package var isThreadLocal: Bool

    package init(start: UInt64, size: UInt64, name: String, isThreadLocal: Bool = false) {
        self.start = start
        self.size = size
        self.name = name
        self.isThreadLocal = isThreadLocal
    }
}
