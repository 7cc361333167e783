import FoundationEssentials
import GRDB
import HeapProfile

extension Rows {
    static func process(_ db: Database) throws -> ProcessState {
        var process: ProcessState = try document(db, Format.process)
        process.extra = process.extra.filter { $0.value.isFinite }
        guard process.capturedAt.isFinite else { throw Damage(what: "captured at") }
        return process
    }

    /// The profile without its samples.
    static func profile(_ db: Database) throws -> HeapProfile {
        let header: ProfileHeader = try document(db, Format.profile)
        guard header.duration.isFinite, header.duration >= 0, header.sampling.interval >= 1,
            header.sampling.firstInterval >= 1, (0...60).contains(header.sampling.thinnings)
        else { throw Damage(what: "profile") }
        let modules = try table(db, Format.module, "path, build_id, start, end, bias") { columns in
            Module(
                path: try columns.text(1), buildID: try columns.text(2), start: try columns.bits(3),
                end: try columns.bits(4), bias: try columns.bits(5))
        }
        let addresses = try table(db, Format.address, "module, offset") { columns in
            let module = try columns.integer(1, as: Int32.self)
            guard (-1..<modules.count).contains(Int(module)) else { throw Damage(what: "module of an address") }
            return CodeAddress(module: module, offset: try columns.bits(2))
        }
        let sites = try table(
            db, Format.site,
            """
            live_bytes, live_count, live_samples, allocated_bytes, allocated_count, allocated_samples, freed_bytes,
            freed_count, freed_samples, first, last, stack, is_cut, history_period, history, lifetimes,
            live_variance, allocated_variance, freed_variance
            """
        ) { columns in try site(columns, addresses) }
        return HeapProfile(
            process: header.process, sampling: header.sampling, duration: header.duration, modules: modules,
            sites: sites, warnings: header.warnings)
    }

    private static func site(_ columns: Columns, _ addresses: [CodeAddress]) throws -> Site {
        let stack: [Int] = try columns.list(12, limit: 4096)
        let history: [Float] = try columns.list(15, limit: 32)
        let lifetimes: [UInt32] = try columns.list(16, limit: 32)
        guard stack.allSatisfy(addresses.indices.contains), history.allSatisfy({ $0.isFinite && $0 >= 0 }),
            lifetimes.count == 32
        else { throw Damage(what: "site") }
        func estimate(_ first: Int, variance: Int) throws -> Estimate {
            Estimate(
                bytes: try columns.number(first), count: try columns.number(first + 1),
                samples: try columns.bits(first + 2), variance: try columns.number(variance))
        }
        return Site(
            stack: stack.map { addresses[$0] }, isCut: try columns.flag(13),
            allocated: try estimate(4, variance: 18), freed: try estimate(7, variance: 19),
            live: try estimate(1, variance: 17), first: try columns.number(10),
            last: try columns.number(11), historyPeriod: try columns.number(14), history: history, lifetimes: lifetimes)
    }

    static func samples(_ db: Database, sites: Int) throws -> ContiguousArray<LiveSample> {
        var samples: ContiguousArray<LiveSample> = []
        _ = try table(db, Format.sample, "site, size, birth, weight, thread") { columns in
            let weight = Float(try columns.number(4, from: 1))
            let site = try columns.integer(1, as: Int32.self)
            guard (0..<sites).contains(Int(site)), weight.isFinite else { throw Damage(what: "sample") }
            samples.append(
                LiveSample(
                    size: try columns.bits(2), birth: try columns.number(3), weight: weight, site: site,
                    thread: try columns.integer(5)))
        }
        return samples
    }

    static func history(_ db: Database) throws -> [MemoryPoint] {
        try table(db, Format.memory, "time, resident_bytes, anonymous_bytes, cgroup_bytes, heap_live_bytes") {
            columns in
            MemoryPoint(
                time: try columns.number(1), residentBytes: try columns.bits(2), anonymousBytes: try columns.bits(3),
                cgroupBytes: try columns.optionalBits(4), heapLiveBytes: try columns.optionalBits(5))
        }
    }

    static func alerts(_ db: Database) throws -> [Alert] {
        try table(db, Format.alert, "time, kind, text") { columns in
            Alert(time: try columns.number(1), kind: try columns.text(2), text: try columns.text(3))
        }
    }

    static func counts(_ db: Database) throws -> [CollectionCounts] {
        try table(db, Format.counts, "title, kind, is_sample, bytes_per_entry, times, counts") { columns in
            let times: [Double] = try columns.list(5, limit: 4096)
            let counts: [Double] = try columns.list(6, limit: 4096)
            guard times.count == counts.count, (times + counts).allSatisfy({ $0.isFinite && $0 >= 0 }),
                zip(times, times.dropFirst()).allSatisfy(<=)
            else { throw Damage(what: "counts") }
            return CollectionCounts(
                title: try columns.text(1), kind: try columns.text(2), isSample: try columns.flag(3),
                bytesPerEntry: try columns.number(4), times: times, counts: counts)
        }
    }

    static func symbols(_ db: Database) throws -> SymbolTable {
        var table = SymbolTable()
        let sql = """
            SELECT module, offset, depth, function, module_name, file, line, is_inlined, frame_offset
            FROM symbol ORDER BY module, offset, depth
            """
        let rows = try Row.fetchCursor(db, sql: sql)
        while let row = try rows.next() {
            let columns = Columns(row: row)
            let address = CodeAddress(module: try columns.integer(0), offset: try columns.bits(1))
            let isUnknownLine = row.hasNull(atIndex: 6)
            let frame = Frame(
                function: try columns.optionalText(3), module: try columns.text(4), file: try columns.optionalText(5),
                line: isUnknownLine ? nil : try columns.integer(6),
                isInlined: try columns.flag(7), offset: try columns.bits(8))
            guard try columns.integer(2) == table.frames[address, default: []].count else {
                throw Damage(what: "depth")
            }
            table.frames[address, default: []].append(frame)
        }
        return table
    }

    /// The rows of a table whose ids count from 0. Column 0 is the id, the `columns` named follow.
    static func table<Value>(
        _ db: Database, _ table: Format.Table, _ columns: String, limit: Int = .max,
        _ value: (Columns) throws -> Value
    ) throws -> [Value] {
        var next: Int32 = 0
        return try read(db, sql: "SELECT id, \(columns) FROM \(table.name) ORDER BY id", limit: limit) { columns in
            guard try columns.integer(0) == next, next < .max else { throw Damage(what: "id") }
            next += 1
            return try value(columns)
        }
    }

    /// The rows of `sql`; more of them than `limit` are damage.
    static func read<Value>(
        _ db: Database, sql: String, limit: Int, _ value: (Columns) throws -> Value
    ) throws -> [Value] {
        var values: [Value] = []
        let rows = try Row.fetchCursor(db, sql: sql)
        while let row = try rows.next() {
            guard values.count < limit else { throw Damage(what: "too many rows") }
            values.append(try value(Columns(row: row)))
        }
        return values
    }

    static func document<Value: Decodable>(_ db: Database, _ table: Format.Table) throws -> Value {
        let texts = try read(db, sql: "SELECT json FROM \(table.name)", limit: 1) { try $0.text(0) }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            guard let text = texts.first else { throw Damage(what: table.name) }
            return try decoder.decode(Value.self, from: Data(text.utf8))
        } catch {
            throw Damage(what: table.name)
        }
    }
}
