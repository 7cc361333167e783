import Glibc
import HeapProfile

/// Why a snapshot could not be written or read.
public struct SnapshotError: Error, CustomStringConvertible, Sendable, Equatable {
    public enum Code: Sendable {
        /// There is no such file or folder, or the system refuses it.
        case unreachable
        /// The file is something else.
        case notASnapshot
        /// Two that are of different things.
        case incomparable
        /// Written by a newer Heaptide.
        case newer
        /// The file ends before its first stage does.
        case cut
        /// The file contradicts itself.
        case damaged
        /// No space is left for writing.
        case full
    }

    public let code: Code
    public let path: String
    /// What was wrong and what to do, without the path.
    public let reason: String

    package init(_ code: Code, _ path: String, _ reason: String) {
        self.code = code
        self.path = path
        self.reason = reason
    }

    /// A failed system call on the way to writing `path`.
    init(writing path: String, errno code: Int32) {
        switch code {
        case ENOSPC, EDQUOT, EFBIG:
            self.init(.full, path, "no space left: free some, or choose another folder for the snapshot")
        case ENOENT, ENOTDIR:
            self.init(.unreachable, path, "its folder does not exist: create it, or choose another one")
        case EROFS:
            self.init(.unreachable, path, "its folder is read-only: choose another folder for the snapshot")
        case EACCES, EPERM:
            self.init(.unreachable, path, "its folder may not be written: choose another folder for the snapshot")
        case EISDIR:
            self.init(.unreachable, path, "is a folder: give a file name that ends in .heaptide")
        case EEXIST:
            self.init(.unreachable, path, "is there and is no regular file: choose another name for the snapshot")
        default:
            self.init(.unreachable, path, "cannot write the snapshot: \(String(cString: strerror(code)))")
        }
    }

    /// A failed system call on the way to reading `path`.
    init(reading path: String, errno code: Int32) {
        switch code {
        case ENOENT, ENOTDIR: self.init(.unreachable, path, "there is no such file")
        case EACCES, EPERM:
            self.init(.unreachable, path, "permission denied: read it as the user who took the snapshot")
        default: self.init(.unreachable, path, "cannot read the snapshot: \(String(cString: strerror(code)))")
        }
    }

    /// One line, whatever the path holds.
    public var description: String { "\(printable(path)): \(printable(reason))" }
}
