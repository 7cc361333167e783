import Glibc

/// Why the agent could not do what it was asked to.
public struct AgentError: Error, CustomStringConvertible, Sendable {
    public enum Code: Sendable, Equatable {
        /// The command does not exist / cannot be executed.
        case commandNotFound, commandNotExecutable
        case processUnreadable
        case folderUnusable
        case system
    }
    public let code: Code
    /// One line: what was wrong, with what, and what to do.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

/// The system's words for an errno.
func reason(_ number: Int32) -> String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
