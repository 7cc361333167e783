import HeapProfile
import LeakAnalysis

extension TextReport {
    /// Entries of each list, and the share of the heap below which nobody cares; JSON has them all.
    private static let longest = 8
    private static let smallestShare = 0.001

    mutating func write(_ heap: HeapSurvey) {
        writeRoots(heap)
        writeCollections(heap)
        writeTypes(heap)
        writeWaste(heap)
        writeLeaks(heap)
    }

    private mutating func writeRoots(_ heap: HeapSurvey) {
        page.heading("Held by")
        let all = "\(Figures.bytes(Double(heap.bytes))) in \(Figures.count(Double(heap.blockCount), "block"))"
        page.paragraph(
            "", "\(all), read \(heap.method.words); the process stood still for \(Figures.duration(heap.pause))",
            indent: 1, column: 1)
        for group in heap.rootGroups().prefix(Self.longest) where isMaterial(group.retainedBytes, heap) {
            page.write(group, in: heap)
            page.writeWay(named(heap.way(fromRoot: group.members[0]).map(\.type)))
        }
        if heap.sharedBytes > 0 {
            page.split("by several together", Figures.bytes(Double(heap.sharedBytes)), indent: 2)
            let shared = heap.objects.filter { $0.holder == .others && isMaterial($0.retainedBytes, heap) }
            for object in shared.prefix(3) {
                let bytes = Figures.bytes(Double(object.retainedBytes))
                page.paragraph(
                    "", "\(bytes) below a block of \(object.type): \(heap.owners(of: object))", indent: 4, column: 1)
            }
        }
    }

    /// Those that are a part of an object, and those that several hold: the others stand with their variables.
    private mutating func writeCollections(_ heap: HeapSurvey) {
        let telling = heap.collections.filter {
            ($0.owner != nil || $0.root == nil) && isMaterial($0.retainedBytes, heap)
        }
        guard !telling.isEmpty else { return }
        page.heading("Collections")
        for collection in telling.prefix(Self.longest) { page.write(collection, in: heap) }
    }

    mutating func writeHolderGrowth() {
        guard let seconds = report.holderGrowth.first?.seconds ?? report.collectionGrowth.first?.seconds else { return }
        page.heading("Grew in \(Figures.duration(seconds))")
        for growth in report.holderGrowth.prefix(Self.longest) { write(growth, growth.root.title) }
        let inner = report.collectionGrowth.filter { $0.collection.owner != nil || $0.collection.root == nil }
        for growth in inner.prefix(Self.longest) {
            let kind = growth.collection.container.kind
            write(growth, growth.title.hasPrefix("in ") ? "\(kind) \(growth.title)" : "\(kind) of \(growth.title)")
        }
        let rest = max(0, report.holderGrowth.count - Self.longest) + max(0, inner.count - Self.longest)
        page.writeRest(rest, hint: Self.wholeList)
    }

    private mutating func write(_ growth: some HeldGrowth, _ title: String) {
        page.split(title, "by \(Figures.rate(growth.bytesPerSecond))", indent: 2)
        let before = Figures.bytes(Double(growth.retainedBytesBefore))
        let now = Figures.bytes(Double(growth.retainedBytes))
        let entries = growth.countBefore.flatMap { before in
            growth.count.map { "entries \(Figures.count(Double(before))) → \(Figures.count(Double($0)))" }
        }
        page.paragraph(
            "",
            ["\(before) → \(now)", entries, growth.bytesPerEntry.map { "\(Figures.bytes($0)) an entry" }]
                .compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
    }

    mutating func writeRisingCollections() {
        guard !report.risingCollections.isEmpty else { return }
        page.heading("Only grow")
        for collection in report.risingCollections.prefix(Self.longest) {
            page.split(collection.title, "by \(Figures.rate(collection.bytesPerSecond))", indent: 2)
            let rate = Figures.decimal(collection.entriesPerSecond, places: 1)
            let isCounted = !HeapSurvey.Container.isInBytes(collection.kind)
            let entries =
                isCounted
                ? " of \(Figures.count(collection.count)) entries, \(rate) more a second of "
                    + "\(Figures.bytes(collection.bytesPerEntry)) each" : " of \(Figures.bytes(collection.count))"
            page.paragraph(
                "", "\(collection.kind)\(entries), for \(Figures.duration(collection.seconds))", indent: 4, column: 1)
        }
        page.writeRest(report.risingCollections.count - Self.longest, hint: Self.wholeList)
    }

    private static let wholeList = ": see --format json"

    private func isMaterial(_ bytes: UInt64, _ heap: HeapSurvey) -> Bool {
        Double(bytes) >= Double(heap.bytes) * Self.smallestShare
    }

    private mutating func writeTypes(_ heap: HeapSurvey) {
        page.heading("Types")
        // One that is known by its size alone says something only where there is much of it.
        let telling = heap.types.filter { isMaterial($0.isNamed ? $0.retainedBytes : $0.shallowBytes / 10, heap) }
        for type in telling.prefix(Self.longest) { page.write(type) }
    }

    private mutating func writeWaste(_ heap: HeapSurvey) {
        let roomy = heap.collections.filter {
            isMaterial($0.unusedBytes, heap) && $0.container.count < ($0.container.capacity ?? 0) / 2
        }
        let texts = heap.texts.flatMap { isMaterial($0.duplicateBytes, heap) ? $0 : nil }
        guard !roomy.isEmpty || texts != nil else { return }
        page.heading("Waste")
        if let texts {
            page.split(
                "texts that are there several times", Figures.bytes(Double(texts.duplicateBytes)), indent: 2)
            for copies in texts.largest.prefix(3) {
                let owner = copies.owner.isEmpty ? "" : ", in \(copies.owner)"
                let start = copies.start.map { ": \"\($0)\"" } ?? ""
                page.paragraph(
                    "", "\(Figures.count(Double(copies.count))) × one of \(copies.length) bytes\(owner)\(start)",
                    indent: 4,
                    column: 1)
            }
        }
        for collection in roomy.prefix(Self.longest) {
            page.split(
                "room in \(heap.title(of: collection))", Figures.bytes(Double(collection.unusedBytes)), indent: 2)
            page.paragraph("", collection.container.text, indent: 4, column: 1)
        }
    }

    private mutating func writeLeaks(_ heap: HeapSurvey) {
        page.heading("Nothing leads to")
        if heap.leaks.isEmpty { page.split("nothing: all blocks are held", "", indent: 2) }
        for leak in heap.leaks.prefix(Self.longest) { page.write(leak) }
        let rest = heap.leaks.dropFirst(Self.longest).reduce(0) { $0 + Double($1.bytes) }
        if rest > 0 { page.split("others", Figures.bytes(rest), indent: 2) }
        for site in report.lostSites.prefix(Self.longest) {
            page.split("allocated by \(site.function)", "about \(Figures.bytes(site.bytes))", indent: 4)
        }
    }
}

extension Page {
    mutating func write(_ group: RootGroup, in heap: HeapSurvey) {
        let roots = group.members.map { heap.roots[$0] }
        if roots.count == 1 { return write(roots[0]) }
        split(
            "\(roots[0].title) of \(roots.count) threads", "retains \(Figures.bytes(Double(group.retainedBytes)))",
            indent: 2)
        let largest = "\(Figures.bytes(Double(roots[0].retainedBytes))) of them thread \(roots[0].thread ?? 0)'s"
        let details = [
            group.container?.text, Figures.count(Double(group.retainedCount), "block"), largest, roots[0].moduleName,
        ]
        paragraph("", details.compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
    }

    mutating func write(_ root: HeapSurvey.Root) {
        split(root.title, "retains \(Figures.bytes(Double(root.retainedBytes)))", indent: 2)
        let details = [
            root.container?.text, Figures.count(Double(root.retainedCount), "block"),
            root.thread.map { "thread \($0)" }, root.moduleName,
        ]
        paragraph("", details.compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
    }

    /// From who holds to where the memory comes together.
    mutating func writeWay(_ types: [String]) {
        guard !types.isEmpty else { return }
        paragraph("", "by way of \(Self.way(types))", indent: 4, column: 1)
    }

    static func way(_ types: [String]) -> String {
        types.prefix(6).joined(separator: " → ") + (types.count > 6 ? " → …" : "")
    }

    mutating func write(_ collection: HeapSurvey.Collection, in heap: HeapSurvey) {
        split(heap.title(of: collection), "retains \(Figures.bytes(Double(collection.retainedBytes)))", indent: 2)
        let each = Double(collection.retainedBytes) / Double(max(1, collection.container.count))
        let text = collection.container.text
        let many = "\(Figures.count(Double(collection.instances))) × \(text) in all"
        let entry = collection.container.isInBytes ? nil : "\(Figures.bytes(each)) an entry"
        let details = [collection.instances == 1 ? text : many, entry, collection.type]
        paragraph("", details.compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
    }

    mutating func write(_ type: HeapSurvey.TypeCount) {
        split(type.name, "retains \(Figures.bytes(Double(type.retainedBytes)))", indent: 2)
        let shallow = "\(Figures.count(Double(type.count), "block")) of \(Figures.bytes(Double(type.shallowBytes)))"
        paragraph("", shallow, indent: 4, column: 1)
    }

    mutating func write(_ leak: HeapSurvey.Leak) {
        let name = leak.isCycle ? "\(leak.type), in a cycle" : leak.type
        split("\(Figures.count(Double(leak.heads))) × \(name)", Figures.bytes(Double(leak.bytes)), indent: 2)
        if leak.way.count > 1 { writeWay(Array(leak.way.dropFirst()) + [leak.type]) }
    }
}

extension HeapSurvey.Method {
    fileprivate var words: String {
        switch self {
        case .fork: "from a copy by fork"
        case .copy: "from a copy of its memory"
        case .stop: "in place"
        }
    }
}

extension HeapSurvey.Root {
    fileprivate var moduleName: String? { module.split(separator: "/").last.map(String.init) }
}

extension HeapSurvey.TypeCount {
    fileprivate var isNamed: Bool { isNamedType(name) }
}

/// Not known by its size alone.
private func isNamedType(_ name: String) -> Bool {
    !(name.hasSuffix(" bytes") && name.dropLast(6).allSatisfy(\.isNumber))
}

/// Types on the way from a holder, where one of them has a name.
func named(_ way: [String]) -> [String] { way.contains(where: isNamedType) ? way : [] }
