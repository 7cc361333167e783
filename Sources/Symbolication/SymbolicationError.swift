/// Why one file could not be read for symbols. Never fatal to a lookup: `Symbolicator` turns it into a note.
public struct SymbolicationError: Error, CustomStringConvertible, Sendable, Equatable {
    public struct Code: Sendable, Equatable {
        private let rawValue: Int
        /// The file is not there or may not be opened.
        public static let unreadable = Code(rawValue: 0)
        /// The file is no ELF executable or shared object.
        public static let notELF = Code(rawValue: 1)
        /// The file is not the one the process ran: its build ID differs.
        public static let replaced = Code(rawValue: 2)
    }

    public var code: Code
    public var path: String
    /// What the system or libelf said.
    public var reason: String

    public init(_ code: Code, path: String, reason: String) {
        self.code = code
        self.path = path
        self.reason = reason
    }

    public var description: String { "\(path): \(reason)" }
}
