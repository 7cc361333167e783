package import HeapProfile

/// A variable, or one thread-local of many threads: nobody wants to read a hundred lines of one name.
package struct RootGroup {
    /// Indices into `HeapSurvey.roots`, the largest first; at least one.
    package var members: [Int]
    package var retainedBytes: UInt64
    package var retainedCount: UInt64
    /// Of all together, where all are or hold collections of one kind.
    package var container: HeapSurvey.Container?
}

extension HeapSurvey {
    /// By what they retain together.
    package func rootGroups() -> [RootGroup] {
        struct Key: Hashable {
            var name: String
            var module: String
            /// Of all but thread-locals with a name: each stands alone.
            var index: Int?
        }
        let keys = roots.indices.map { index in
            let isShared = roots[index].kind == .threadLocal && !roots[index].name.isEmpty
            return Key(name: roots[index].name, module: roots[index].module, index: isShared ? nil : index)
        }
        return Dictionary(grouping: roots.indices) { keys[$0] }.values
            .map { group($0.sorted { (roots[$0].retainedBytes, $1) > (roots[$1].retainedBytes, $0) }) }
            .sorted { ($0.retainedBytes, $1.members[0]) > ($1.retainedBytes, $0.members[0]) }
    }

    private func group(_ members: [Int]) -> RootGroup {
        func sum(_ value: (Root) -> UInt64) -> UInt64 { members.reduce(0) { $0 &+ value(roots[$1]) } }
        var container = roots[members[0]].container
        if members.count > 1 {
            let all = members.compactMap { roots[$0].container }
            let isOneKind = all.count == members.count && Set(all.map(\.kind)).count == 1
            container = isOneKind ? all.first : nil
            container?.count = all.reduce(0) { $0 &+ $1.count }
            container?.capacity = nil
        }
        return RootGroup(
            members: members, retainedBytes: sum(\.retainedBytes), retainedCount: sum(\.retainedCount),
            container: container)
    }
}
