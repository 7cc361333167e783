import HeapProfile

extension Holder {
    /// In whose hands a group's blocks are. Shares are of what the survey found: blocks that were born or freed between
    /// the two looks are in neither.
    static func holders(of group: SiteGroup, in heap: HeapSurvey?) -> [Holder] {
        guard let heap else { return [] }
        let numbers = Set(group.numbers)
        var bytes: [HeapSurvey.Holding.Holder: Double] = [:]
        for holding in heap.holdings where numbers.contains(holding.site) {
            bytes[holding.holder, default: 0] += holding.bytes.sound
        }
        let all = bytes.values.reduce(0, +)
        guard all > 0 else { return [] }
        return bytes.map { Holder($0.key, share: $0.value / all, in: heap) }
            .sorted { ($0.share, $1.name) > ($1.share, $0.name) }
    }

    private init(_ holder: HeapSurvey.Holding.Holder, share: Double, in heap: HeapSurvey) {
        switch holder {
        case .root(let index) where heap.roots.indices.contains(index):
            self.init(
                kind: .root, root: heap.roots[index], way: heap.way(fromRoot: index).map(\.type), share: share)
        case .root, .others: self.init(kind: .others, share: share)
        case .nothing: self.init(kind: .nothing, share: share)
        }
    }

    /// For a sentence.
    package var name: String {
        switch kind {
        case .root: root?.title ?? ""
        case .others: "several together"
        case .nothing: "nothing"
        }
    }
}

extension HeapSurvey.Root {
    /// The variable and its type, or what it is where it has no name.
    package var title: String {
        switch kind {
        case .stack: "stack"
        case .register: "registers"
        case .mapping: "memory that was mapped without the allocator"
        case .global, .threadLocal:
            (name.isEmpty ? "without a name" : name) + (type.map { " : \($0)" } ?? "")
                + (kind == .threadLocal ? ", thread-local" : "")
        }
    }

    var isNamed: Bool { (kind == .global || kind == .threadLocal) && !name.isEmpty }
}

extension HeapSurvey.Container {
    /// `Dictionary of 75,012 entries, room for 98,304`
    package var text: String {
        if isInBytes { return "\(kind) of \(Figures.bytes(Double(count)))" }
        let entries = count == 1 ? "1 entry" : "\(Figures.count(Double(count))) entries"
        return "\(kind) of \(entries)" + (capacity.map { ", room for \(Figures.count(Double($0)))" } ?? "")
    }
}
