import HeapGraph
import HeapProfile

/// In whose hands the blocks of each type are: what is above them in the tree of dominators, by type or root.
struct TypeHolders {
    private enum Above: Hashable {
        case root(UInt32)
        case objects(type: UInt32, CollectionLayout?, holder: UInt32)
        case several
        case nothing
    }

    private struct Run {
        var above = Above.nothing
        var count: UInt64 = 0
    }

    private let typeNames: [String]
    /// By type.
    private var counts: [[Above: UInt64]]

    /// - Complexity: O(blocks); a look into a table only where a block hangs on something else than the last one of its type.
    ///
    /// - Parameter holders: the root that alone holds each node, as `DominatorTree.holders` tells it.
    init(_ reading: HeapReading, _ tree: DominatorTree, holders: ContiguousArray<UInt32>) {
        typeNames = reading.typeNames
        counts = Array(repeating: [:], count: typeNames.count)
        var runs = [Run](repeating: Run(), count: typeNames.count)
        for block in reading.types.indices {
            let type = Int(reading.types[block])
            let above = Self.above(block, reading, tree, holders)
            if runs[type].above != above {
                counts[type][runs[type].above, default: 0] += runs[type].count
                runs[type] = Run(above: above)
            }
            runs[type].count += 1
        }
        for (type, run) in runs.enumerated() { counts[type][run.above, default: 0] += run.count }
    }

    private static func above(
        _ block: Int, _ reading: HeapReading, _ tree: DominatorTree, _ holders: ContiguousArray<UInt32>
    ) -> Above {
        let node = tree.dominators[block]
        // What only seems to lead into a collection is no longer in the graph, and no loss.
        if node == DominatorTree.unreachable { return reading.reached.contains(UInt32(block)) ? .several : .nothing }
        if node == tree.origin { return .several }
        if node >= tree.firstRoot { return .root(node) }
        let holder = holders[Int(node)]
        return .objects(
            type: UInt32(reading.types[Int(node)]), reading.collections.layout(node),
            holder: holder >= tree.firstRoot ? holder : DominatorTree.unreachable)
    }

    /// - Parameter places: index into the survey's roots of those that are listed, by node.
    func holders(of type: Int, _ places: [UInt32: Int]) -> [HeapSurvey.TypeCount.Holder] {
        var sums: [HeapSurvey.TypeCount.Holder.Place: UInt64] = [:]
        for (above, count) in counts[type] where count > 0 { sums[place(above, places), default: 0] += count }
        let sorted = sums.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
        return sorted.prefix(HeapSurvey.TypeCount.mostHolders).map { .init(place: $0.key, count: $0.value) }
    }

    private func place(_ above: Above, _ places: [UInt32: Int]) -> HeapSurvey.TypeCount.Holder.Place {
        switch above {
        case .nothing: .nothing
        case .several: .others
        case .root(let node): places[node].map { .root($0) } ?? .others
        case .objects(let type, let layout, let holder):
            .objects(layout?.rawValue ?? typeNames[Int(type)], root: places[holder] ?? -1)
        }
    }
}
