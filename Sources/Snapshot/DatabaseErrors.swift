import GRDB

/// Runs `body` and turns SQLite's errors into ones that name `path` and say what to do.
func databaseErrors<Result>(_ path: String, _ body: () throws -> Result) throws(SnapshotError) -> Result {
    do {
        return try body()
    } catch let error as SnapshotError {
        throw error
    } catch let error as DatabaseError {
        throw SnapshotError(error, path: path)
    } catch {
        throw SnapshotError(.damaged, path, "\(error)")
    }
}

extension DatabaseError {
    /// The file is to blame, or that it was cut.
    var isDamage: Bool {
        [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_TOOBIG, .SQLITE_FORMAT].contains(resultCode)
            || extendedResultCode == .SQLITE_IOERR_SHORT_READ
    }
}

extension SnapshotError {
    init(_ error: DatabaseError, path: String) {
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(.full, path, "no space left: free some, or choose another folder for the snapshot")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            self.init(
                .unreachable, path, "the file or its folder is read-only: copy it (with its -journal) to another folder"
            )
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.unreachable, path, "another program is writing it: try again when that is done")
        case .SQLITE_CANTOPEN, .SQLITE_IOERR:
            self.init(.unreachable, path, "input or output error: check the disk (\(error.resultCode))")
        case .SQLITE_NOTADB:
            self.init(.notASnapshot, path, "not a snapshot")
        default:
            self.init(.damaged, path, "the snapshot is damaged: \(error.message ?? "\(error.resultCode)")")
        }
    }
}

/// `path` as SQLite takes it for nothing but a path: not for ":memory:", "file:…" or a temporary database.
func databasePath(_ path: String) -> String { path.hasPrefix("/") ? path : "./\(path)" }
