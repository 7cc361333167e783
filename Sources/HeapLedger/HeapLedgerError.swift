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

/// `text` without control characters, so that a file's name or a damaged string cannot break a line or a terminal.
func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var result = String.UnicodeScalarView()
    result.append(contentsOf: text.unicodeScalars.map { isControl($0) ? "?" : $0 })
    return String(result)
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
}
