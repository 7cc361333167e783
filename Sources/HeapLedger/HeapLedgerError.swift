import HeapProfile

/// Why a ledger could not be read.
public struct HeapLedgerError: Error, CustomStringConvertible, Sendable, Equatable {
    public enum Code: Sendable {
        /// There is no such file, or the system refuses to open or read it.
        case unreadable
        /// The file is something else, or its first page was never finished.
        case notALedger
        /// A ledger of another layout version or of a machine with the other byte order.
        case foreign
        /// The file ends before its stacks do: what is left explains nothing.
        case cut
        /// The header contradicts itself.
        case damaged
    }

    public let code: Code
    public let path: String
    /// What was wrong and what to do, without the path.
    public let reason: String

    init(_ code: Code, _ path: String, _ reason: String) {
        self.code = code
        self.path = path
        self.reason = reason
    }

    /// One line, whatever the path holds.
    public var description: String { "\(printable(path)): \(reason)" }
}
