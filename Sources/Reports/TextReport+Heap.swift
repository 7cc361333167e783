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

    private func isMaterial(_ bytes: UInt64, _ heap: HeapSurvey) -> Bool {
        Double(bytes) >= Double(heap.bytes) * Self.smallestShare
    }

    private mutating func writeTypes(_ heap: HeapSurvey) {
        page.heading("Types")
        for type in heap.types.prefix(Self.longest) where isMaterial(type.retainedBytes, heap) {
            page.split(type.name, "retains \(Figures.bytes(Double(type.retainedBytes)))", indent: 2)
            let shallow = "\(Figures.count(Double(type.count), "block")) of \(Figures.bytes(Double(type.shallowBytes)))"
            page.paragraph("", shallow, indent: 4, column: 1)
        }
    }

    /// Those of one type and kind in one line.
    private mutating func writeLeaks(_ heap: HeapSurvey) {
        page.heading("Nothing leads to")
        let groups = Dictionary(grouping: heap.leaks) { LeakKind(type: $0.type, isCycle: $0.isCycle) }
        let totals = groups.map { kind, leaks in (kind, leaks.count, leaks.reduce(0) { $0 + $1.bytes }) }
            .sorted { ($0.2, $1.0.type) > ($1.2, $0.0.type) }
        if totals.isEmpty { page.split("nothing: all blocks are held", "", indent: 2) }
        for (kind, count, bytes) in totals.prefix(Self.longest) {
            let name = kind.isCycle ? "\(kind.type), in a cycle" : kind.type
            page.split("\(Figures.count(Double(count))) × \(name)", Figures.bytes(Double(bytes)), indent: 2)
        }
    }
}

private struct LeakKind: Hashable {
    var type: String
    var isCycle: Bool
}

extension HeapSurvey.Root {
    fileprivate var moduleName: String? { module.split(separator: "/").last.map(String.init) }
}
