import GRDB
import HeapProfile

/// Reads the stages of one open snapshot, each on its own: what is wrong with one costs no other.
struct StageReader {
    private let db: Database
    private let file: FileHeader
    private let path: String
    private let marks: [Stage: Mark]

    /// What the stage table says of a committed stage.
    private struct Mark {
        var rows: Int
        var pages: Int
    }

    init(_ db: Database, _ file: FileHeader, path: String) throws {
        self.db = db
        self.file = file
        self.path = path
        do {
            try Self.checkSchema(db)
            guard try Self.isIntact(Format.stage, db) else { throw Damage(what: "its stages") }
            let rows = try Rows.read(db, sql: "SELECT id, rows, pages FROM stage", limit: 100) { columns in
                (
                    try columns.integer(0, as: Int64.self),
                    Mark(rows: try columns.integer(1), pages: try columns.integer(2))
                )
            }
            var marks: [Stage: Mark] = [:]
            for (id, mark) in rows { if let stage = Stage(rawValue: id) { marks[stage] = mark } }
            self.marks = marks
        } catch  where Self.isDamage(error) {
            throw file.isCut
                ? file.nothingIsLeft(path)
                : SnapshotError(.damaged, path, "the snapshot is damaged: its tables cannot be read")
        }
    }

    func contents() throws -> SnapshotContents {
        var missing: [Stage] = []
        guard let process = try stage(.process, &missing, Rows.process) else {
            throw SnapshotError(
                file.isCut ? .cut : .damaged, path,
                marks.isEmpty
                    ? "the snapshot holds no stage: its writer was stopped before the first one"
                    : "the snapshot is \(file.isCut ? "cut" : "damaged") and its first stage is lost")
        }
        var contents = SnapshotContents(process: process)
        contents.profile = try stage(.sites, &missing, Rows.profile)
        let siteCount = contents.profile?.sites.count ?? 0
        if let samples = try stage(.samples, &missing, { try Rows.samples($0, sites: siteCount) }) {
            contents.profile?.samples = samples
        }
        let history = try stage(.history, &missing) { db in
            (memory: try Rows.history(db), alerts: try Rows.alerts(db), counts: try Rows.counts(db))
        }
        if let history {
            contents.history = history.memory
            contents.alerts = history.alerts
            contents.counts = history.counts
        }
        contents.symbols = try stage(.symbols, &missing, Rows.symbols) ?? SymbolTable()
        contents.heap = try stage(.heap, &missing, Rows.heap)
        let isFinished = try stage(.finished, &missing, { _ in true }) ?? false
        contents.isPartial = !isFinished || !missing.isEmpty || file.isCut
        if contents.isPartial { contents.warnings = warnings(missing, isFinished: isFinished) }
        return contents
    }

    /// nil where the stage is missing; then it stands in `missing`, unless a finished snapshot was made without it.
    private func stage<Value>(
        _ stage: Stage, _ missing: inout [Stage], _ read: (Database) throws -> Value
    ) throws -> Value? {
        guard let mark = marks[stage] else {
            // Most are made without it, finished or not.
            if marks[.finished] == nil, stage != .heap { missing.append(stage) }
            return nil
        }
        do {
            guard mark.pages >= 0, mark.pages <= file.size / max(1, file.pageSize) else { throw Damage(what: "pages") }
            var rows = 0
            for table in stage.tables {
                guard try Self.isIntact(table, db) else { throw Damage(what: table.name) }
                rows += try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table.name)") ?? 0
            }
            guard rows == mark.rows else { throw Damage(what: "rows") }
            return try read(db)
        } catch  where Self.isDamage(error) {
            missing.append(stage)
            return nil
        }
    }

    private func warnings(_ missing: [Stage], isFinished: Bool) -> [String] {
        let what = missing.filter { $0 != .finished }.map(\.title).joined(separator: ", ")
        let cause =
            file.isCut
            ? "the snapshot was cut to \(file.size) of \(file.expectedSize) bytes"
            : isFinished ? "the snapshot is damaged" : "the snapshot was not finished"
        return [what.isEmpty ? "\(cause); no stage is missing" : "\(cause); missing: \(what)"]
    }

    /// SQLite's own check of the pages, order and types of one table. After it no page is read twice.
    private static func isIntact(_ table: Format.Table, _ db: Database) throws -> Bool {
        try String.fetchOne(db, sql: "PRAGMA quick_check(\(table.name))") == "ok"
    }

    /// The tables must be this format's to the letter: a view or a computed column in their place could do anything.
    private static func checkSchema(_ db: Database) throws {
        let entries = try Rows.read(db, sql: "SELECT type, name, sql FROM sqlite_master", limit: 1000) { columns in
            (type: try columns.text(0), name: try columns.text(1), sql: try columns.optionalText(2))
        }
        guard !entries.contains(where: { $0.type == "trigger" }) else { throw Damage(what: "schema") }
        for table in Format.tables {
            guard entries.contains(where: { $0.type == "table" && $0.name == table.name && $0.sql == table.sql })
            else { throw Damage(what: "schema") }
        }
    }

    private static func isDamage(_ error: any Error) -> Bool {
        error is Damage || (error as? DatabaseError)?.isDamage == true
    }
}

/// A value that no writer of this format writes.
struct Damage: Error {
    var what: String
}
