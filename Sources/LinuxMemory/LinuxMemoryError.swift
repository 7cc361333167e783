internal import Glibc

/// Why something about memory could not be read.
public struct LinuxMemoryError: Error, CustomStringConvertible, Sendable, Equatable {
    public enum Code: Sendable, Equatable {
        /// The process does not exist (any more).
        case noSuchProcess
        case notPermitted
        /// The file does not look as proc(5) says.
        case malformed
        /// Another errno.
        case system(Int32)
    }

    public let code: Code
    /// One line: what was wrong, with which process or file, and what to do.
    public let description: String

    /// `number` is the errno that reading `path` failed with.
    init(reading path: String, of pid: Int32, errno number: Int32) {
        switch number {
        case ENOENT, ESRCH:
            self = .noSuchProcess(pid)
        case EACCES, EPERM:
            code = .notPermitted
            description = "\(path) may not be read: run heaptide as the user of process \(pid), or as root"
        default:
            code = .system(number)
            description = "\(path) cannot be read (\(String(cString: strerror(number)))): is /proc mounted?"
        }
    }

    private init(code: Code, description: String) {
        self.code = code
        self.description = description
    }

    static func noSuchProcess(_ pid: Int32) -> Self {
        Self(code: .noSuchProcess, description: "process \(pid) does not exist: check its number, it may have ended")
    }

    static func malformed(_ path: String, missing: String) -> Self {
        Self(
            code: .malformed,
            description: "\(path) has no \(missing): it is not as proc(5) says, report it with your kernel's version")
    }
}
