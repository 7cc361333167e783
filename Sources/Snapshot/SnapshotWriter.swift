import GRDB
import Glibc
public import HeapProfile

/// Writes one snapshot: `PATH.partial` stage by stage, then in one step to `PATH`.
///
/// Each `write` is one or two committed transactions; a writer that is killed at any moment leaves a `.partial` with
/// all that it had committed, which `SnapshotReader` opens. Nothing is ever lost of an older snapshot at `PATH`: it
/// is replaced by `finish` or not at all. A `.partial` left there earlier is replaced at once. Both files can be read
/// by their owner only.
///
/// Every method throws `SnapshotError`; after one of them the caller either goes on with the next stage, keeps the
/// `.partial` as it is, or calls `abandon`. Memory: about 2 MB beyond what is written, whatever its size.
public struct SnapshotWriter: Sendable {
    public let path: String
    public var partialPath: String { path + ".partial" }
    private let queue: DatabaseQueue

    public init(path: String) throws(SnapshotError) {
        self.path = path
        let partial = path + ".partial"
        try Self.makeFile(partial, for: path)
        do {
            queue = try databaseErrors(path) { try Self.makeTables(partial) }
        } catch {
            unlink(partial)
            unlink(partial + "-journal")
            throw error
        }
    }

    private static func makeTables(_ partial: String) throws -> DatabaseQueue {
        let queue = try DatabaseQueue(path: databasePath(partial), configuration: configuration)
        try queue.write { db in
            try db.execute(sql: "PRAGMA application_id = \(Format.applicationID)")
            try db.execute(sql: "PRAGMA user_version = \(Format.version)")
            for table in Format.tables { try db.execute(sql: table.sql) }
        }
        return queue
    }

    public func write(process: ProcessState) throws(SnapshotError) {
        try commit(.process) { db in try Rows.insert(process, db) }
    }

    /// Sites with their stacks first, the live samples after them.
    public func write(profile: HeapProfile) throws(SnapshotError) {
        try commit(.sites) { db in try Rows.insertSites(profile, db) }
        try commit(.samples) { db in try Rows.insert(profile.samples, db) }
    }

    public func write(
        history: [MemoryPoint], alerts: [Alert] = [], counts: [CollectionCounts] = []
    ) throws(SnapshotError) {
        try commit(.history) { db in
            try Rows.insert(history, db) + Rows.insert(alerts, db) + Rows.insert(counts, db)
        }
    }

    public func write(symbols: SymbolTable) throws(SnapshotError) {
        try commit(.symbols) { db in try Rows.insert(symbols, db) }
    }

    public func write(heap: HeapSurvey) throws(SnapshotError) {
        try commit(.heap) { db in try Rows.insert(heap, db) }
    }

    /// Puts the file on the disk and under its final name. The writer is of no more use afterwards.
    public func finish() throws(SnapshotError) {
        try commit(.finished) { _ in 0 }
        try databaseErrors(path) { try queue.close() }
        try synchronize(partialPath, O_RDWR)
        guard rename(partialPath, path) == 0 else { throw SnapshotError(writing: path, errno: errno) }
        try synchronize(folder(of: path), O_RDONLY | O_DIRECTORY)
    }

    /// Removes what was written so far. An older snapshot at `path` stays.
    public func abandon() {
        try? queue.close()
        unlink(partialPath)
        unlink(partialPath + "-journal")
    }

    /// Runs `insert`, which returns how many rows it wrote, as one transaction. A stage written before is replaced.
    private func commit(_ stage: Stage, _ insert: (Database) throws -> Int) throws(SnapshotError) {
        try databaseErrors(path) {
            try queue.write { db in
                for table in stage.tables { try db.execute(sql: "DELETE FROM \(table.name)") }
                try Rows.mark(stage, rows: insert(db), db)
            }
        }
    }
}

extension SnapshotWriter {
    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(5)  // someone may be reading the stages so far
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA page_size = \(Format.pageSize)")
            // The rollback journal keeps each transaction whole when this process is killed, and is gone after it: one
            // file is the whole truth. Only a power cut would need more syncs than the one in `finish`, and near an
            // OOM kill each of them can cost seconds.
            try db.execute(sql: "PRAGMA journal_mode = DELETE")
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.execute(sql: "PRAGMA cache_size = -1024")
        }
        return configuration
    }

    /// An empty file of mode 0600 that was not there before: what another user put in the way is not followed.
    private static func makeFile(_ partial: String, for path: String) throws(SnapshotError) {
        var status = stat()
        // A folder cannot be replaced, and a device or a FIFO must not be: the rename would put a file in its place.
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw SnapshotError(writing: path, errno: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EEXIST)
        }
        unlink(partial)
        unlink(partial + "-journal")
        let descriptor = open(partial, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SnapshotError(writing: path, errno: errno) }
        close(descriptor)
    }

    private func synchronize(_ file: String, _ flags: Int32) throws(SnapshotError) {
        let descriptor = open(file, flags | O_CLOEXEC)
        guard descriptor >= 0 else { throw SnapshotError(writing: path, errno: errno) }
        defer { close(descriptor) }
        // EINVAL: a file system that has nothing to sync in a folder.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw SnapshotError(writing: path, errno: errno) }
    }
}

private func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
