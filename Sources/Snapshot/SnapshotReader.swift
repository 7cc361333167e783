import GRDB
import Glibc
public import HeapProfile

/// Opens snapshots: finished ones, `.partial` ones of a writer that was killed, and what is left of cut ones.
public enum SnapshotReader {
    /// Everything the file holds, each value checked.
    ///
    /// Of a file that was cut, never finished or damaged, it gives all stages that are whole, marks the result as
    /// partial and names the missing stages in `warnings`; it throws where not even the process is left. A `.partial`
    /// whose writer was killed in the middle of a stage is rolled back on the way, which needs a writable folder.
    public static func read(path: String) throws(SnapshotError) -> SnapshotContents {
        try rollBack(path)
        let file = try header(of: path)
        let queue = try open(path, file, writable: false)
        let result = try databaseErrors(path) {
            try queue.read { db in try StageReader(db, file, path: path).contents() }
        }
        try? queue.close()
        return result
    }

    /// Adds `symbols` to those the snapshot has already; an address that it has is replaced. In one transaction: a
    /// failure leaves the file as it was. Refuses a snapshot that is not whole.
    public static func addSymbols(_ symbols: SymbolTable, to path: String) throws(SnapshotError) {
        try add(.symbols, to: path) { contents, db in
            var all = contents.symbols
            all.frames.merge(symbols.frames) { $1 }
            return try Rows.insert(all, db)
        }
    }

    /// Adds who holds the heap, likewise.
    public static func addHeap(_ heap: HeapSurvey, to path: String) throws(SnapshotError) {
        try add(.heap, to: path) { _, db in try Rows.insert(heap, db) }
    }

    /// A stage in place of the one that was there; `insert` gives its number of rows.
    private static func add(
        _ stage: Stage, to path: String, _ insert: (SnapshotContents, Database) throws -> Int
    ) throws(SnapshotError) {
        try rollBack(path)
        let file = try header(of: path)
        let queue = try open(path, file, writable: true)
        try databaseErrors(path) {
            try queue.write { db in
                let contents = try StageReader(db, file, path: path).contents()
                guard !contents.isPartial else {
                    throw SnapshotError(.damaged, path, "the snapshot is not whole: \(stage.title) is not added to it")
                }
                for table in stage.tables { try db.execute(sql: "DELETE FROM \(table.name)") }
                try Rows.mark(stage, rows: insert(contents, db), db)
            }
            try queue.close()
        }
    }

    /// Whether the file at `path` is a snapshot of any version, whole or cut. Reads a hundred bytes.
    public static func isSnapshot(path: String) -> Bool {
        do throws(SnapshotError) {
            return try FileHeader(path: path)?.isSnapshot ?? false
        } catch {
            return false
        }
    }

    private static func header(of path: String) throws(SnapshotError) -> FileHeader {
        guard let file = try FileHeader(path: path), file.isSnapshot else {
            var status = stat()
            let isThere = stat(path, &status) == 0
            guard !isThere || status.st_mode & S_IFMT == S_IFREG else {
                throw SnapshotError(.notASnapshot, path, "not a regular file: copy what it gives into one")
            }
            throw SnapshotError(
                .notASnapshot, path,
                isThere && status.st_size == 0
                    ? "the file is empty: its writer was stopped before it wrote anything"
                    : "not a snapshot: give a file that `heaptide snapshot` or `heaptide run` wrote")
        }
        guard file.version <= Format.version else {
            throw SnapshotError(
                .newer, path,
                "the snapshot has format version \(file.version) and this heaptide reads \(Format.version): "
                    + "use a newer heaptide")
        }
        guard file.version == Format.version else {
            throw SnapshotError(
                .notASnapshot, path,
                "the snapshot has format version \(file.version), of an older heaptide: read it with that one")
        }
        return file
    }

    /// Undoes what a killed writer had begun: its journal still lies beside the file, and SQLite plays it back as soon
    /// as a connection that may write looks at the file. The journal of a writer that lives is left alone.
    private static func rollBack(_ path: String) throws(SnapshotError) {
        var status = stat()
        guard stat(path + "-journal", &status) == 0, status.st_size > 0, try FileHeader(path: path)?.isSnapshot == true
        else { return }
        try databaseErrors(path) {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: databasePath(path), configuration: configuration)
            try queue.close()
        }
    }

    private static func open(
        _ path: String, _ file: FileHeader, writable: Bool
    ) throws(SnapshotError) -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = !writable
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { [isCut = file.isCut] db in
            try db.execute(sql: "PRAGMA trusted_schema = OFF")
            try db.execute(sql: "PRAGMA cell_size_check = ON")
            // SQLite refuses a file that is shorter than its header says, except under this flag. Nothing is written.
            if isCut { try db.execute(sql: "PRAGMA writable_schema = ON") }
        }
        return try databaseErrors(path) {
            do {
                return try DatabaseQueue(path: databasePath(path), configuration: configuration)
            } catch let error as DatabaseError where file.isCut && error.isDamage {
                throw file.nothingIsLeft(path)
            }
        }
    }
}
