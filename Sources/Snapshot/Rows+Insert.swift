import FoundationEssentials
import GRDB
import HeapProfile

/// Rows of each table: how values become rows, and, in the other file, how rows become values again.
enum Rows {
    /// What a profile has beside its tables.
    struct ProfileHeader: Codable {
        var process: ProcessIdentity
        var sampling: Sampling
        var duration: Double
        var warnings: [String]
    }

    static func mark(_ stage: Stage, rows: Int, _ db: Database) throws {
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count")
        try db.execute(
            sql: "INSERT OR REPLACE INTO stage VALUES (?, ?, ?, ?)",
            arguments: [stage.rawValue, "\(stage)", rows, pages])
    }

    static func insert(_ process: ProcessState, _ db: Database) throws -> Int {
        try db.execute(sql: "INSERT INTO process VALUES (0, ?)", arguments: [json(process)])
        return 1
    }

    static func insertSites(_ profile: HeapProfile, _ db: Database) throws -> Int {
        let header = ProfileHeader(
            process: profile.process, sampling: profile.sampling, duration: finite(profile.duration),
            warnings: profile.warnings)
        try db.execute(sql: "INSERT INTO profile VALUES (0, ?)", arguments: [json(header)])
        try insert(db, into: Format.module, profile.modules) { index, module in
            [index, module.path, module.buildID, bits(module.start), bits(module.end), bits(module.bias)]
        }
        var addresses: [CodeAddress: Int] = [:]
        let insertAddress = try db.makeStatement(sql: "INSERT INTO address VALUES (?, ?, ?)")
        func identifier(_ address: CodeAddress) throws -> Int {
            if let known = addresses[address] { return known }
            let id = addresses.count
            addresses[address] = id
            insertAddress.setUncheckedArguments([id, address.module, bits(address.offset)])
            try insertAddress.execute()
            return id
        }
        try insert(db, into: Format.site, profile.sites) { index, site in
            [
                index, finite(site.live.bytes), finite(site.live.count), bits(site.live.samples),
                finite(site.allocated.bytes), finite(site.allocated.count), bits(site.allocated.samples),
                finite(site.freed.bytes), finite(site.freed.count), bits(site.freed.samples),
                finite(site.first), finite(site.last), list(try site.stack.map(identifier)), site.isCut,
                finite(site.historyPeriod), list(site.history.map { $0.isFinite ? $0 : 0 }), list(site.lifetimes),
                finite(site.live.variance), finite(site.allocated.variance), finite(site.freed.variance),
            ]
        }
        return 1 + profile.modules.count + addresses.count + profile.sites.count
    }

    static func insert(_ samples: ContiguousArray<LiveSample>, _ db: Database) throws -> Int {
        try insert(db, into: Format.sample, samples) { index, sample in
            [
                index, sample.site, bits(sample.size), finite(sample.birth), finite(Double(sample.weight)),
                sample.thread,
            ]
        }
    }

    static func insert(_ history: [MemoryPoint], _ db: Database) throws -> Int {
        try insert(db, into: Format.memory, history) { index, point in
            [
                index, finite(point.time), bits(point.residentBytes), bits(point.anonymousBytes),
                point.cgroupBytes.map(bits), point.heapLiveBytes.map(bits),
            ]
        }
    }

    static func insert(_ alerts: [Alert], _ db: Database) throws -> Int {
        try insert(db, into: Format.alert, alerts) { index, alert in
            [index, finite(alert.time), alert.kind, alert.text]
        }
    }

    static func insert(_ counts: [CollectionCounts], _ db: Database) throws -> Int {
        try insert(db, into: Format.counts, counts) { index, collection in
            [
                index, collection.title, collection.kind, collection.isSample, finite(collection.bytesPerEntry),
                list(collection.times.map(finite)), list(collection.counts.map(finite)),
            ]
        }
    }

    /// In the order of the key, so that pages are only appended.
    static func insert(_ symbols: SymbolTable, _ db: Database) throws -> Int {
        let addresses = symbols.frames.keys.sorted {
            ($0.module, Int64(bitPattern: $0.offset)) < ($1.module, Int64(bitPattern: $1.offset))
        }
        let rows = addresses.lazy.flatMap { address in
            (symbols.frames[address] ?? []).enumerated().map { (address: address, depth: $0.offset, frame: $0.element) }
        }
        return try insert(db, into: Format.symbol, rows) { _, row in
            [
                row.address.module, bits(row.address.offset), row.depth, row.frame.function, row.frame.module,
                row.frame.file, row.frame.line, row.frame.isInlined, bits(row.frame.offset),
            ]
        }
    }

    /// Inserts one row for each element; `values` gets its index and gives all columns. Returns how many there were.
    @discardableResult
    static func insert<Element>(
        _ db: Database, into table: Format.Table, _ elements: some Sequence<Element>,
        _ values: (Int, Element) throws -> StatementArguments
    ) throws -> Int {
        var statement: Statement?
        var count = 0
        for element in elements {
            let arguments = try values(count, element)
            let current = try statement ?? prepare(db, table)
            statement = current
            current.setUncheckedArguments(arguments)
            try current.execute()
            count += 1
        }
        return count
    }

    private static func prepare(_ db: Database, _ table: Format.Table) throws -> Statement {
        let columns = try db.columns(in: table.name).map { _ in "?" }.joined(separator: ", ")
        return try db.makeStatement(sql: "INSERT INTO \(table.name) VALUES (\(columns))")
    }

    /// SQLite keeps NaN as NULL and the reader refuses infinities: neither may cost a whole stage.
    static func finite(_ value: Double) -> Double { value.isFinite ? value : 0 }

    static func bits(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }

    static func list(_ values: [some CustomStringConvertible]) -> String {
        "[\(values.map(\.description).joined(separator: ","))]"
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
