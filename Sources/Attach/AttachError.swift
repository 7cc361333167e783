import Glibc

/// Why the probe was not brought into a process, or not made inert in it.
public struct AttachError: Error, CustomStringConvertible, Sendable, Equatable {
    public enum Code: Sendable, Equatable {
        case noSuchProcess
        /// The kernel does not let this user trace it.
        case notPermitted
        /// It must not be tried: the process could be harmed.
        case unsafe
        /// The probe is there already, or is not there.
        case wrongState
        /// No thread came to a place where it may be interrupted.
        case noSafePlace
        /// The process itself refused the library.
        case refusedByLoader
        case system
    }

    public let code: Code
    /// One line: what was wrong, with which process, and what to do.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

func reason(_ number: Int32) -> String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
