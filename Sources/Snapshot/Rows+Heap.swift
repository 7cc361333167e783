import FoundationEssentials
import GRDB
import HeapProfile

extension Rows {
    /// What a survey has beside its tables.
    private struct HeapHeader: Codable {
        var blockCount: UInt64
        var bytes: UInt64
        var sharedBytes: UInt64
        var pause: Double
        var method: HeapSurvey.Method
        var texts: HeapSurvey.Texts?
        var doubts: [String]
    }

    static func insert(_ heap: HeapSurvey, _ db: Database) throws -> Int {
        let header = HeapHeader(
            blockCount: heap.blockCount, bytes: heap.bytes, sharedBytes: heap.sharedBytes, pause: finite(heap.pause),
            method: heap.method, texts: heap.texts, doubts: heap.doubts)
        try db.execute(sql: "INSERT INTO heap VALUES (0, ?)", arguments: [json(header)])
        let roots = try insert(db, into: Format.root, heap.roots) { index, root in
            [
                index, root.kind.rawValue, root.name, root.type, root.module, root.thread, bits(root.retainedBytes),
                bits(root.retainedCount), root.container?.kind, root.container.map { bits($0.count) },
                root.container?.capacity.map(bits),
            ]
        }
        let types = try insert(db, into: Format.type, heap.types) { index, type in
            [index, type.name, bits(type.count), bits(type.shallowBytes), bits(type.retainedBytes)]
        }
        let holders = try insert(db, into: Format.typeHolder, typeHolders(heap.types)) { index, row in
            [index, row.type, row.holder.place.number, row.holder.place.typeName, bits(row.holder.count)]
        }
        let leaks = try insert(db, into: Format.leak, heap.leaks) { index, leak in
            [
                index, leak.type, bits(leak.heads), bits(leak.bytes), bits(leak.count), leak.isCycle,
                leak.way.joined(separator: "\n"),
            ]
        }
        let collections = try insert(db, into: Format.collection, heap.collections) { index, collection in
            [
                index, bits(collection.instances), collection.container.kind, bits(collection.container.count),
                collection.container.capacity.map(bits), collection.elementSize.map(bits), collection.type,
                collection.owner, collection.offset.map(bits), collection.root,
                bits(collection.retainedBytes), bits(collection.retainedCount),
                bits(collection.unusedBytes), list(collection.addresses),
                bits(collection.sampledCount),
            ]
        }
        let objects = try insert(db, into: Format.object, heap.objects) { index, object in
            [
                index, bits(object.address), object.type, bits(object.bytes), bits(object.retainedBytes),
                bits(object.retainedCount), object.holder.root, object.holder.object,
                list(object.owners), object.ownerCount,
            ]
        }
        let holdings = try insert(db, into: Format.holding, heap.holdings) { index, holding in
            [index, holding.site, holding.holder.number, finite(holding.bytes)]
        }
        return 1 + roots + types + holders + leaks + collections + objects + holdings
    }

    /// Of each list of a survey.
    private static let longest = 1000
    private static let longestName = 1 << 16

    static func heap(_ db: Database) throws -> HeapSurvey {
        let header: HeapHeader = try document(db, Format.heap)
        guard header.pause.isFinite, header.pause >= 0 else { throw Damage(what: "heap") }
        var heap = HeapSurvey(
            blockCount: header.blockCount, bytes: header.bytes, sharedBytes: header.sharedBytes, pause: header.pause,
            method: header.method, texts: header.texts, doubts: header.doubts)
        let columns = """
            kind, name, type, module, thread, retained_bytes, retained_count, container, element_count, capacity
            """
        heap.roots = try table(db, Format.root, columns, limit: longest, root)
        heap.types = try table(db, Format.type, "name, count, shallow_bytes, retained_bytes", limit: longest) {
            columns in
            HeapSurvey.TypeCount(
                name: try columns.text(1), count: try columns.bits(2), shallowBytes: try columns.bits(3),
                retainedBytes: try columns.bits(4))
        }
        for row in try typeHolders(db, roots: heap.roots.count, types: heap.types.count) {
            guard heap.types[row.type].holders.count < HeapSurvey.TypeCount.mostHolders,
                row.holder.count <= heap.types[row.type].count
            else { throw Damage(what: "type_holder") }
            heap.types[row.type].holders.append(row.holder)
        }
        heap.leaks = try table(db, Format.leak, "type, heads, bytes, count, is_cycle, way", limit: longest) { columns in
            HeapSurvey.Leak(
                type: try columns.text(1), heads: try columns.bits(2), bytes: try columns.bits(3),
                count: try columns.bits(4), isCycle: try columns.flag(5),
                way: try columns.text(6).split(separator: "\n").map(String.init))
        }
        heap.collections = try collections(db, roots: heap.roots.count)
        heap.objects = try objects(db, roots: heap.roots.count)
        heap.holdings = try table(db, Format.holding, "site, root, bytes") { columns in
            let site = try columns.integer(1, as: Int.self)
            guard site >= 0, let holder = Holder(number: try columns.integer(2), roots: heap.roots.count) else {
                throw Damage(what: "holding")
            }
            return HeapSurvey.Holding(site: site, holder: holder, bytes: try columns.number(3))
        }
        return heap
    }

    private typealias TypeHolder = (type: Int, holder: HeapSurvey.TypeCount.Holder)

    private static func typeHolders(_ types: [HeapSurvey.TypeCount]) -> [TypeHolder] {
        types.enumerated().flatMap { index, type in type.holders.map { (index, $0) } }
    }

    private static func typeHolders(_ db: Database, roots: Int, types: Int) throws -> [TypeHolder] {
        let most = longest * HeapSurvey.TypeCount.mostHolders
        return try table(db, Format.typeHolder, "type, place, name, count", limit: most) { columns in
            let type: Int = try columns.integer(1)
            let name = try columns.optionalText(3)
            guard (0..<types).contains(type), (name?.utf8.count ?? 0) <= longestName,
                let place = HeapSurvey.TypeCount.Holder.Place(
                    number: try columns.integer(2), typeName: name, roots: roots)
            else { throw Damage(what: "type_holder") }
            return (type, .init(place: place, count: try columns.bits(4)))
        }
    }

    private typealias Holder = HeapSurvey.Holding.Holder

    private static func collections(_ db: Database, roots: Int) throws -> [HeapSurvey.Collection] {
        let columns = """
            instances, kind, element_count, capacity, element_size, type, owner, offset, root, retained_bytes, \
            retained_count, unused_bytes, addresses, sampled_count
            """
        return try table(db, Format.collection, columns, limit: longest) { columns in
            HeapSurvey.Collection(
                instances: try columns.bits(1),
                container: .init(
                    kind: try columns.text(2), count: try columns.bits(3), capacity: try columns.optionalBits(4)),
                elementSize: try columns.optionalBits(5),
                type: try columns.optionalText(6), owner: try columns.optionalText(7),
                offset: try columns.optionalBits(8), root: try columns.optionalIndex(9, below: roots),
                retainedBytes: try columns.bits(10), retainedCount: try columns.bits(11),
                unusedBytes: try columns.bits(12),
                addresses: try columns.list(13, limit: HeapSurvey.Collection.mostAddresses),
                sampledCount: try columns.bits(14))
        }
    }

    private static func objects(_ db: Database, roots: Int) throws -> [HeapSurvey.Object] {
        var known = 0
        let columns = "address, type, bytes, retained_bytes, retained_count, root, above, owners, owner_count"
        return try table(db, Format.object, columns, limit: longest) { columns in
            defer { known += 1 }
            let root = try columns.optionalIndex(6, below: roots)
            let above = try columns.optionalIndex(7, below: known)
            let owners: [Int] = try columns.list(8, limit: HeapSurvey.Object.mostOwners)
            let ownerCount: Int = try columns.integer(9)
            guard root == nil || above == nil, owners.allSatisfy((0..<roots).contains), ownerCount >= owners.count
            else {
                throw Damage(what: "object")
            }
            return HeapSurvey.Object(
                address: try columns.bits(1), type: try columns.text(2), bytes: try columns.bits(3),
                retainedBytes: try columns.bits(4), retainedCount: try columns.bits(5),
                holder: root.map(ObjectHolder.root) ?? above.map(ObjectHolder.object) ?? .others,
                owners: owners, ownerCount: ownerCount)
        }
    }

    private typealias ObjectHolder = HeapSurvey.Object.Holder

    private static func root(_ columns: Columns) throws -> HeapSurvey.Root {
        guard let kind = HeapSurvey.Root.Kind(rawValue: try columns.text(1)) else { throw Damage(what: "root") }
        let thread = columns.row.hasNull(atIndex: 5) ? nil : try columns.integer(5, as: Int32.self)
        var container: HeapSurvey.Container?
        if let name = try columns.optionalText(8) {
            container = .init(kind: name, count: try columns.bits(9), capacity: try columns.optionalBits(10))
        }
        return HeapSurvey.Root(
            kind: kind, name: try columns.text(2), type: try columns.optionalText(3), module: try columns.text(4),
            thread: thread, retainedBytes: try columns.bits(6), retainedCount: try columns.bits(7), container: container
        )
    }
}

extension HeapSurvey.TypeCount.Holder.Place {
    fileprivate var number: Int {
        switch self {
        case .root(let index): index
        case .others: -1
        case .nothing: -2
        case .objects(_, let root): root
        }
    }

    fileprivate var typeName: String? { if case .objects(let name, _) = self { name } else { nil } }

    fileprivate init?(number: Int, typeName: String?, roots: Int) {
        switch (number, typeName) {
        case (0..<roots, nil): self = .root(number)
        case (-1, nil): self = .others
        case (-2, nil): self = .nothing
        case (-1..<roots, let name?): self = .objects(name, root: number)
        default: return nil
        }
    }
}

extension HeapSurvey.Holding.Holder {
    fileprivate var number: Int {
        switch self {
        case .root(let index): index
        case .others: -1
        case .nothing: -2
        }
    }

    fileprivate init?(number: Int, roots: Int) {
        switch number {
        case 0..<roots: self = .root(number)
        case -1: self = .others
        case -2: self = .nothing
        default: return nil
        }
    }
}
