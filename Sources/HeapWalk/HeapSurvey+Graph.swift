import HeapGraph
import HeapProfile
import RemoteProcess

extension HeapSurvey {
    /// Entries that are kept of each list.
    private static let longest = 1000

    /// Dominators, retained sizes and leaks of what was read. Needs nothing of the process any more.
    ///
    /// - Parameter samples: live blocks whose holders are asked for.
    init(_ reading: consuming HeapReading, samples: ContiguousArray<LiveSample>, pause: Double) {
        // What was freed since the profile was taken is in nobody's hands.
        let sampled = samples.compactMap { sample in
            reading.blocks.index(startingAt: sample.address).map { (site: sample.site, bytes: sample.bytes, block: $0) }
        }
        var sizes = ContiguousArray<UInt64>()
        sizes.reserveCapacity(reading.blocks.count)
        for block in reading.blocks { sizes.append(block.size) }
        reading.index = BlockIndex([])  // dominators need the room
        let roots = Self.tiers(reading)
        let tree = DominatorTree(reading.graph, roots: roots)
        let bytes = tree.retained(sizes)
        let counts = tree.retainedCounts()
        self.init(
            blockCount: UInt64(sizes.count), bytes: sizes.reduce(0, &+), pause: pause, doubts: reading.doubts)
        let held = reading.roots.enumerated().map { number, root in
            (
                number: number,
                root: Root(
                    root, retainedBytes: bytes[sizes.count + number],
                    retainedCount: UInt64(counts[sizes.count + number]))
            )
        }
        sharedBytes = bytes[Int(tree.origin)] - held.reduce(0) { $0 + $1.root.retainedBytes }
        let listed = Self.largest(held.filter { $0.root.retainedBytes > 0 && !$0.root.isProbes }) {
            $0.root.retainedBytes
        }
        self.roots = listed.map(\.root)
        holdings = Self.holdings(sampled, tree, listed: listed.map(\.number))
        types = Self.types(reading, sizes, bytes, tree)
        leaks = Self.leaks(reading, reading.graph.reachable(from: roots), sizes)
    }

    private static func largest<Element>(_ elements: [Element], by size: (Element) -> UInt64) -> [Element] {
        Array(elements.sorted { size($0) > size($1) }.prefix(longest))
    }

    /// What stacks and registers hold counts only as far as nothing named leads to it: one stray word on a stack must not
    /// take a collection from the global that owns it. Of several stacks that lead to one place the first has it.
    private static func tiers(_ reading: HeapReading) -> HeapRoots {
        let strong = HeapRoots(reading.roots.lazy.map { $0.isWeak ? [] : $0.targets })
        var reached = reading.graph.reachable(from: strong)
        var targets = reading.roots.map(\.targets)
        for (number, root) in reading.roots.enumerated() where root.isWeak {
            targets[number] = root.targets.filter { !reached.contains($0) }
            reached = reading.graph.reachable(from: HeapRoots([targets[number]]), known: reached)
        }
        return HeapRoots(targets)
    }

    private static func holdings(
        _ sampled: [(site: Int32, bytes: Double, block: Int)], _ tree: DominatorTree, listed: [Int]
    ) -> [Holding] {
        guard !sampled.isEmpty else { return [] }
        let holders = tree.holders()
        let places = Dictionary(uniqueKeysWithValues: listed.enumerated().map { ($0.element, $0.offset) })
        var sums: [Int32: [Holding.Holder: Double]] = [:]
        for sample in sampled {
            let holder: Holding.Holder =
                holders[sample.block] == DominatorTree.unreachable
                ? .nothing
                : places[Int(holders[sample.block]) - Int(tree.firstRoot)].map(Holding.Holder.root) ?? .others
            sums[sample.site, default: [:]][holder, default: 0] += sample.bytes
        }
        return sums.sorted { $0.key < $1.key }.flatMap { site, holders in
            holders.map { Holding(site: Int(site), holder: $0.key, bytes: $0.value) }.sorted { $0.bytes > $1.bytes }
        }
    }

    private static func types(
        _ reading: HeapReading, _ sizes: ContiguousArray<UInt64>, _ retained: ContiguousArray<UInt64>,
        _ tree: DominatorTree
    ) -> [TypeCount] {
        var counts = reading.typeNames.map { TypeCount(name: $0, count: 0, shallowBytes: 0, retainedBytes: 0) }
        for block in reading.types.indices {
            let type = Int(reading.types[block])
            counts[type].count += 1
            counts[type].shallowBytes += sizes[block]
            if tree.dominators[block] == DominatorTree.unreachable { counts[type].retainedBytes += sizes[block] }
        }
        // One that hangs on its own kind, however far above, is in that one's bytes already.
        var above = ContiguousArray(repeating: 0, count: counts.count)
        tree.walk(
            enter: { block in
                let type = Int(reading.types[Int(block)])
                if above[type] == 0 { counts[type].retainedBytes += retained[Int(block)] }
                above[type] += 1
            }, leave: { above[Int(reading.types[Int($0)])] -= 1 })
        return largest(counts.filter { $0.count > 0 }) { max($0.retainedBytes, $0.shallowBytes) }
    }

    /// Those of one type and kind together.
    private static func leaks(_ reading: HeapReading, _ reached: NodeSet, _ sizes: ContiguousArray<UInt64>) -> [Leak] {
        let found = reading.graph.definiteLeaks(reached: reached)
        let tree = DominatorTree(reading.graph, roots: HeapRoots(found.lazy.map { [$0.head] }))
        let bytes = tree.retained(sizes)
        let counts = tree.retainedCounts()
        struct Kind: Hashable {
            var type: UInt32
            var isCycle: Bool
        }
        var leaks: [Kind: Leak] = [:]
        for leak in found {
            let head = Int(leak.head)
            let type = reading.types[head]
            leaks[
                Kind(type: type, isCycle: leak.isCycle),
                default: Leak(
                    type: reading.typeNames[Int(type)], heads: 0, bytes: 0, count: 0, isCycle: leak.isCycle)
            ].add(bytes: bytes[head], count: UInt64(counts[head]))
        }
        return largest(Array(leaks.values)) { $0.bytes }
    }
}

extension HeapSurvey.Leak {
    fileprivate mutating func add(bytes: UInt64, count: UInt64) {
        heads += 1
        self.bytes += bytes
        self.count += count
    }
}

extension HeapSurvey.Root {
    /// What the probe keeps for itself is no business of the program's.
    fileprivate var isProbes: Bool { fileName(module).hasPrefix("libheaptide-probe") }

    fileprivate init(_ root: HeapRoot, retainedBytes: UInt64, retainedCount: UInt64) {
        self.init(
            kind: root.kind, name: root.symbol, module: root.module, thread: root.thread, retainedBytes: retainedBytes,
            retainedCount: retainedCount, container: root.container)
    }
}
