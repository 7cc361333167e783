import HeapProfile
import LeakAnalysis

extension TextReport {
    /// Entries of each list, and the share of the heap below which nobody cares; JSON has them all.
    private static let longest = 8
    private static let smallestShare = 0.001

    mutating func write(_ heap: HeapSurvey) {
        writeRoots(heap)
        writeTypes(heap)
        writeLeaks(heap)
    }

    private mutating func writeRoots(_ heap: HeapSurvey) {
        page.heading("Held by")
        let all = "\(Figures.bytes(Double(heap.bytes))) in \(Figures.count(Double(heap.blockCount), "block"))"
        page.paragraph(
            "", "\(all), read while the process stood still for \(Figures.duration(heap.pause))", indent: 1, column: 1)
        for root in heap.roots.prefix(Self.longest) where isMaterial(root.retainedBytes, heap) {
            page.split(root.title, "retains \(Figures.bytes(Double(root.retainedBytes)))", indent: 2)
            let details = [
                root.container?.text, Figures.count(Double(root.retainedCount), "block"),
                root.thread.map { "thread \($0)" }, root.moduleName,
            ]
            page.paragraph("", details.compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
        }
        if heap.sharedBytes > 0 {
            page.split("by several together", Figures.bytes(Double(heap.sharedBytes)), indent: 2)
        }
    }

    mutating func writeHolderGrowth() {
        guard let first = report.holderGrowth.first else { return }
        page.heading("Grew in \(Figures.duration(first.seconds))")
        for growth in report.holderGrowth.prefix(Self.longest) {
            page.split(growth.root.title, "by \(Figures.rate(growth.bytesPerSecond))", indent: 2)
            let before = Figures.bytes(Double(growth.retainedBytesBefore))
            let now = Figures.bytes(Double(growth.root.retainedBytes))
            let entries = growth.countBefore.flatMap { before in
                growth.root.container.map {
                    "entries \(Figures.count(Double(before))) → \(Figures.count(Double($0.count)))"
                }
            }
            page.paragraph(
                "",
                ["\(before) → \(now)", entries, growth.bytesPerEntry.map { "\(Figures.bytes($0)) an entry" }]
                    .compactMap(\.self).joined(separator: ", "), indent: 4, column: 1)
        }
    }

    private func isMaterial(_ bytes: UInt64, _ heap: HeapSurvey) -> Bool {
        Double(bytes) >= Double(heap.bytes) * Self.smallestShare
    }

    private mutating func writeTypes(_ heap: HeapSurvey) {
        page.heading("Types")
        // One that is known by its size alone says something only where there is much of it.
        let telling = heap.types.filter { isMaterial($0.isNamed ? $0.retainedBytes : $0.shallowBytes / 10, heap) }
        for type in telling.prefix(Self.longest) {
            page.split(type.name, "retains \(Figures.bytes(Double(type.retainedBytes)))", indent: 2)
            let shallow = "\(Figures.count(Double(type.count), "block")) of \(Figures.bytes(Double(type.shallowBytes)))"
            page.paragraph("", shallow, indent: 4, column: 1)
        }
    }

    private mutating func writeLeaks(_ heap: HeapSurvey) {
        page.heading("Nothing leads to")
        if heap.leaks.isEmpty { page.split("nothing: all blocks are held", "", indent: 2) }
        for leak in heap.leaks.prefix(Self.longest) {
            let name = leak.isCycle ? "\(leak.type), in a cycle" : leak.type
            page.split(
                "\(Figures.count(Double(leak.heads))) × \(name)", Figures.bytes(Double(leak.bytes)), indent: 2)
        }
        let rest = heap.leaks.dropFirst(Self.longest).reduce(0) { $0 + Double($1.bytes) }
        if rest > 0 { page.split("others", Figures.bytes(rest), indent: 2) }
    }
}

extension HeapSurvey.Root {
    fileprivate var moduleName: String? { module.split(separator: "/").last.map(String.init) }
}

extension HeapSurvey.TypeCount {
    fileprivate var isNamed: Bool { !(name.hasSuffix(" bytes") && name.dropLast(6).allSatisfy(\.isNumber)) }
}
