import HeapGraph
import HeapProfile

/// In whose hands the blocks of each type are: what is above them in the tree of dominators, by type or root.
struct TypeHolders {
    private struct Pair: Hashable {
        var type: UInt32
        var above: Above
    }

    private enum Above: Hashable {
        case root(UInt32)
        case type(UInt32)
        case several
        case nothing
    }

    private struct Run {
        var above = Above.nothing
        /// One of them.
        var example: UInt32 = 0
        var count: UInt64 = 0
    }

    private let reading: HeapReading
    private var counts: [Pair: Run] = [:]
    private var byType: [UInt32: [Run]] = [:]

    /// - Complexity: O(blocks); a look into a table only where a block hangs on something else than the last one of its type.
    init(_ reading: HeapReading, _ tree: DominatorTree) {
        self.reading = reading
        var runs = [Run](repeating: Run(), count: reading.typeNames.count)
        for block in reading.types.indices {
            let type = Int(reading.types[block])
            let node = tree.dominators[block]
            let above = Self.above(node, reading, tree)
            if runs[type].above != above {
                finish(runs[type], of: type)
                runs[type] = Run(above: above, example: node)
            }
            runs[type].count += 1
        }
        for (type, run) in runs.enumerated() { finish(run, of: type) }
        for (pair, run) in counts { byType[pair.type, default: []].append(run) }
    }

    private static func above(_ node: UInt32, _ reading: HeapReading, _ tree: DominatorTree) -> Above {
        if node == DominatorTree.unreachable { return .nothing }
        if node == tree.origin { return .several }
        return node < tree.firstRoot ? .type(UInt32(reading.types[Int(node)])) : .root(node)
    }

    private mutating func finish(_ run: Run, of type: Int) {
        guard run.count > 0 else { return }
        counts[Pair(type: UInt32(type), above: run.above), default: Run(above: run.above, example: run.example)]
            .count +=
            run.count
    }

    /// - Parameter places: index into the survey's roots of those that are listed, by node.
    func holders(of type: Int, _ places: [UInt32: Int]) -> [HeapSurvey.TypeCount.Holder] {
        var sums: [HeapSurvey.TypeCount.Holder.Place: UInt64] = [:]
        for run in byType[UInt32(type)] ?? [] { sums[place(run, places), default: 0] += run.count }
        let sorted = sums.sorted { ($0.value, "\($1.key)") > ($1.value, "\($0.key)") }
        return sorted.prefix(HeapSurvey.TypeCount.mostHolders).map { .init(place: $0.key, count: $0.value) }
    }

    private func place(_ run: Run, _ places: [UInt32: Int]) -> HeapSurvey.TypeCount.Holder.Place {
        switch run.above {
        case .nothing: .nothing
        case .several: .others
        case .root(let node): places[node].map { .root($0) } ?? .others
        case .type(let type):
            .objects(reading.collections.layout(run.example)?.rawValue ?? reading.typeNames[Int(type)])
        }
    }
}
