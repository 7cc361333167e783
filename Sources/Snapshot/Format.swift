/// The file format: a SQLite database that anyone can ask questions in SQL.
///
///     SELECT site.id, live_bytes, group_concat(function, ' < ')
///     FROM site, json_each(site.stack) AS frame JOIN address ON address.id = frame.value
///     LEFT JOIN symbol USING (module, offset)
///     GROUP BY site.id ORDER BY live_bytes DESC LIMIT 10;
///
/// Sizes are bytes; times are seconds, since 1970 in `memory`, `alert` and `counts`, since recording began elsewhere.
/// Unsigned 64-bit numbers stand as their bit pattern. There is nothing of the heap's contents but for what `--contents`
/// asks for.
enum Format {
    /// "HTDE" in the database header's application id.
    static let applicationID: UInt32 = 0x4854_4445
    static let version: UInt32 = 6
    static let pageSize = 4096

    struct Table {
        var name: String
        var columns: String
        var options = ""
        var sql: String { "CREATE TABLE \(name)(\(columns))\(options)" }
    }

    /// One row a committed stage: how many rows its tables have, and how many pages the file had then.
    static let stage = Table(
        name: "stage",
        columns: "id INTEGER PRIMARY KEY, name TEXT NOT NULL, rows INTEGER NOT NULL, pages INTEGER NOT NULL")
    /// `ProcessState`, and a profile's `ProfileHeader`.
    static let process = Table(name: "process", columns: "id INTEGER PRIMARY KEY, json TEXT NOT NULL")
    static let profile = Table(name: "profile", columns: "id INTEGER PRIMARY KEY, json TEXT NOT NULL")
    static let module = Table(
        name: "module",
        columns: """
            id INTEGER PRIMARY KEY, path TEXT NOT NULL, build_id TEXT NOT NULL, start INTEGER NOT NULL, \
            end INTEGER NOT NULL, bias INTEGER NOT NULL
            """)
    static let address = Table(
        name: "address", columns: "id INTEGER PRIMARY KEY, module INTEGER NOT NULL, offset INTEGER NOT NULL")
    /// `stack` is a JSON array of address ids, innermost first.
    static let site = Table(
        name: "site",
        columns: """
            id INTEGER PRIMARY KEY, live_bytes REAL NOT NULL, live_count REAL NOT NULL, live_samples INTEGER NOT NULL, \
            allocated_bytes REAL NOT NULL, allocated_count REAL NOT NULL, allocated_samples INTEGER NOT NULL, \
            freed_bytes REAL NOT NULL, freed_count REAL NOT NULL, freed_samples INTEGER NOT NULL, \
            first REAL NOT NULL, last REAL NOT NULL, stack TEXT NOT NULL, is_cut INTEGER NOT NULL, \
            history_period REAL NOT NULL, history TEXT NOT NULL, lifetimes TEXT NOT NULL, \
            live_variance REAL NOT NULL, allocated_variance REAL NOT NULL, freed_variance REAL NOT NULL
            """)
    static let sample = Table(
        name: "sample",
        columns: """
            id INTEGER PRIMARY KEY, site INTEGER NOT NULL, size INTEGER NOT NULL, birth REAL NOT NULL, \
            weight REAL NOT NULL, thread INTEGER NOT NULL
            """)
    static let memory = Table(
        name: "memory",
        columns: """
            id INTEGER PRIMARY KEY, time REAL NOT NULL, resident_bytes INTEGER NOT NULL, \
            anonymous_bytes INTEGER NOT NULL, cgroup_bytes INTEGER, heap_live_bytes INTEGER
            """)
    static let alert = Table(
        name: "alert",
        columns: "id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL")
    /// Entries of large collections over time: JSON arrays of as many times, since 1970, and counts.
    static let counts = Table(
        name: "counts",
        columns: """
            id INTEGER PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL, is_sample INTEGER NOT NULL, \
            bytes_per_entry REAL NOT NULL, times TEXT NOT NULL, counts TEXT NOT NULL
            """)
    /// Functions at an address, `depth` 0 innermost.
    static let symbol = Table(
        name: "symbol",
        columns: """
            module INTEGER NOT NULL, offset INTEGER NOT NULL, depth INTEGER NOT NULL, function TEXT, \
            module_name TEXT NOT NULL, file TEXT, line INTEGER, is_inlined INTEGER NOT NULL, \
            frame_offset INTEGER NOT NULL, PRIMARY KEY (module, offset, depth)
            """, options: " WITHOUT ROWID")

    /// Who holds the heap: `HeapSurvey`'s figures, and its lists, largest first.
    static let heap = Table(name: "heap", columns: "id INTEGER PRIMARY KEY, json TEXT NOT NULL")
    static let root = Table(
        name: "root",
        columns: """
            id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, type TEXT, module TEXT NOT NULL, \
            thread INTEGER, retained_bytes INTEGER NOT NULL, retained_count INTEGER NOT NULL, container TEXT, \
            element_count INTEGER, capacity INTEGER
            """)
    static let type = Table(
        name: "type",
        columns: """
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, count INTEGER NOT NULL, shallow_bytes INTEGER NOT NULL, \
            retained_bytes INTEGER NOT NULL
            """)
    /// `HeapSurvey.TypeCount.holders`. `place` is an index into `root`, or -1: several, -2: none; with a `name`, of who
    /// holds the objects of that type.
    static let typeHolder = Table(
        name: "type_holder",
        columns: """
            id INTEGER PRIMARY KEY, type INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT, count INTEGER NOT NULL
            """)
    static let leak = Table(
        name: "leak",
        columns: """
            id INTEGER PRIMARY KEY, type TEXT NOT NULL, heads INTEGER NOT NULL, bytes INTEGER NOT NULL, \
            count INTEGER NOT NULL, is_cycle INTEGER NOT NULL, way TEXT NOT NULL
            """)
    /// `root` is an id; NULL for several together. `owner` is the type of the object that it is a part of.
    static let collection = Table(
        name: "collection",
        columns: """
            id INTEGER PRIMARY KEY, instances INTEGER NOT NULL, kind TEXT NOT NULL, element_count INTEGER NOT NULL, \
            capacity INTEGER, element_size INTEGER, type TEXT, owner TEXT, offset INTEGER, root INTEGER, \
            retained_bytes INTEGER NOT NULL, retained_count INTEGER NOT NULL, unused_bytes INTEGER NOT NULL, \
            addresses TEXT NOT NULL, sampled_count INTEGER NOT NULL
            """)
    /// `root` or `above`, an id of this table, is who holds it alone; both NULL where several roots
    /// do, of which `owners` are the largest.
    static let object = Table(
        name: "object",
        columns: """
            id INTEGER PRIMARY KEY, address INTEGER NOT NULL, type TEXT NOT NULL, bytes INTEGER NOT NULL, \
            retained_bytes INTEGER NOT NULL, retained_count INTEGER NOT NULL, root INTEGER, above INTEGER, \
            owners TEXT NOT NULL, owner_count INTEGER NOT NULL
            """)
    /// `root` is an id, −1 for others together, −2 for nothing.
    static let holding = Table(
        name: "holding",
        columns: "id INTEGER PRIMARY KEY, site INTEGER NOT NULL, root INTEGER NOT NULL, bytes REAL NOT NULL")

    static let tables = [
        stage, process, profile, module, address, site, sample, memory, alert, counts, symbol, heap, root, type,
        typeHolder, leak,
        collection,
        object, holding,
    ]
}

/// The parts that are committed one by one, the dearest first. All tables are made before the first of them, and each
/// stage only appends pages to the file; a file that was cut therefore holds every stage whose last page it holds.
enum Stage: Int64, CaseIterable {
    case process = 1
    case sites, samples, history, symbols, heap
    /// Written last of all: the writer got to its end.
    case finished

    var tables: [Format.Table] {
        switch self {
        case .process: [Format.process]
        case .sites: [Format.profile, Format.module, Format.address, Format.site]
        case .samples: [Format.sample]
        case .history: [Format.memory, Format.alert, Format.counts]
        case .symbols: [Format.symbol]
        case .heap:
            [
                Format.heap, Format.root, Format.type, Format.typeHolder, Format.leak, Format.collection, Format.object,
                Format.holding,
            ]
        case .finished: []
        }
    }

    /// For a message.
    var title: String {
        switch self {
        case .process: "the process"
        case .sites: "the allocation sites"
        case .samples: "the live samples"
        case .history: "the memory history"
        case .symbols: "the symbols"
        case .heap: "who holds the heap"
        case .finished: "the end mark"
        }
    }
}
