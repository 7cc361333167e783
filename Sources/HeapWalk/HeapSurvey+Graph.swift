import HeapGraph
import HeapProfile
import RemoteProcess

extension HeapSurvey {
    /// Entries that are kept of each list.
    private static let longest = 1000
    /// Of those that several roots hold, the largest, whose owners are looked for.
    private static let mostShared = 64

    /// Dominators, retained sizes and leaks of what was read. Needs nothing of the process any more.
    ///
    /// - Parameter samples: live blocks whose holders are asked for.
    init(_ reading: consuming HeapReading, samples: ContiguousArray<LiveSample>, pause: Double) {
        // What was freed since the profile was taken is in nobody's hands.
        let sampled = samples.compactMap { sample in
            reading.blocks.index(startingAt: sample.address).map { (site: sample.site, bytes: sample.bytes, block: $0) }
        }
        let sizes = SizeList(reading.blocks.lazy.map(\.size))
        let addresses = AddressList(reading.blocks.lazy.map(\.address))
        reading.index = BlockIndex([])  // dominators need the room
        let roots = Self.tiers(reading)
        let tree = DominatorTree(reading.graph, roots: roots)
        let weights = Weights(tree, sizes)
        self.init(
            blockCount: UInt64(sizes.count), bytes: sizes.reduce(0, &+), pause: pause,
            method: reading.method, doubts: reading.doubts)
        let held = reading.roots.enumerated().map { number, root in
            (
                number: number,
                root: Root(
                    root, retainedBytes: weights.bytes[sizes.count + number],
                    retainedCount: UInt64(weights.counts[sizes.count + number]))
            )
        }
        sharedBytes = weights.bytes[Int(tree.origin)] - held.reduce(0) { $0 + $1.root.retainedBytes }
        // A variable that holds nothing alone may hold much together with others.
        let listed = Self.largest(
            held.filter { ($0.root.retainedBytes > 0 || !$0.root.name.isEmpty) && !$0.root.isProbes }
        ) {
            $0.root.retainedBytes
        }
        self.roots = listed.map(\.root)
        let places = Dictionary(
            uniqueKeysWithValues: listed.enumerated().map { (tree.firstRoot + UInt32($0.element.number), $0.offset) })
        let holders = tree.holders()
        holdings = Self.holdings(sampled, holders, places, reading.reached)
        collections = Self.collections(reading, tree, weights, holders, places, addresses, sizes)
        for collection in collections {
            guard let root = collection.root, collection.instances == 1, self.roots[root].container == nil else {
                continue
            }
            self.roots[root].container = collection.container
        }
        let objects = Self.objects(sizes.count, tree, weights)
        self.objects = objects.map { node in
            Object(
                address: addresses[Int(node)], type: reading.typeNames[Int(reading.types[Int(node)])],
                bytes: sizes[Int(node)], retainedBytes: weights.bytes[Int(node)],
                retainedCount: UInt64(weights.counts[Int(node)]))
        }
        findHolders(of: objects, tree, places)
        findOwners(of: objects, reading, SharedOwners(reading.graph, roots: roots, tree, holders: holders), places)
        types = Self.types(reading, sizes, weights.bytes, tree, consume holders, places)
        texts = Self.texts(reading)
        leaks = Self.leaks(reading, sizes)
    }

    /// What each node and root retains.
    private struct Weights {
        let bytes: ContiguousArray<UInt64>
        let counts: ContiguousArray<UInt32>

        init(_ tree: DominatorTree, _ sizes: SizeList) {
            bytes = tree.retained(sizes)
            counts = tree.retainedCounts()
        }
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
        _ sampled: [(site: Int32, bytes: Double, block: Int)], _ holders: ContiguousArray<UInt32>,
        _ places: [UInt32: Int], _ reached: NodeSet
    ) -> [Holding] {
        var sums: [Int32: [Holding.Holder: Double]] = [:]
        for sample in sampled {
            let holder: Holding.Holder =
                !reached.contains(UInt32(sample.block))
                ? .nothing : places[holders[sample.block]].map(Holding.Holder.root) ?? .others
            sums[sample.site, default: [:]][holder, default: 0] += sample.bytes
        }
        return sums.sorted { $0.key < $1.key }.flatMap { site, holders in
            holders.map { Holding(site: Int(site), holder: $0.key, bytes: $0.value) }.sorted { $0.bytes > $1.bytes }
        }
    }

    private static func collections(
        _ reading: HeapReading, _ tree: DominatorTree, _ weights: Weights, _ holders: ContiguousArray<UInt32>,
        _ places: [UInt32: Int], _ addresses: AddressList, _ sizes: SizeList
    ) -> [Collection] {
        let found = reading.collections
        let weighed = found.weights(tree, bytes: weights.bytes, counts: weights.counts, holders: holders)
        var groups: [CollectionGroup.Key: CollectionGroup] = [:]
        for (number, weight) in weighed.enumerated() where weight.bytes > 0 {
            let key = CollectionGroup.Key(found.all[number], number, reading, holder: places[weight.holder], addresses)
            groups[key, default: CollectionGroup()].add(
                found.all[number], weight, size: found.all[number].storage.map { sizes[Int($0)] })
        }
        return largest(Array(groups)) { $0.value.bytes }.map { key, group in group.collection(key, reading.typeNames) }
    }

    /// Those that retain a thousandth of the heap or more, as deep as one wants to read.
    private static func objects(_ count: Int, _ tree: DominatorTree, _ weights: Weights) -> [UInt32] {
        let least = max(1, weights.bytes[Int(tree.origin)] / 1000)
        var depths = ContiguousArray<UInt8>(repeating: 0, count: count)
        var chosen: [UInt32] = []
        for node in tree.order where node < tree.firstRoot {
            let above = tree.dominators[Int(node)]
            depths[Int(node)] = above < tree.firstRoot ? min(depths[Int(above)], 254) + 1 : 1
            if Int(depths[Int(node)]) <= Object.deepest, weights.bytes[Int(node)] >= least { chosen.append(node) }
        }
        // Of those that retain as much, one that holds the other comes first, as it does in the order.
        return chosen.enumerated().sorted {
            let (a, b) = (weights.bytes[Int($0.element)], weights.bytes[Int($1.element)])
            return (a, $1.offset) > (b, $0.offset)
        }.prefix(longest).map(\.element)
    }

    private mutating func findHolders(of nodes: [UInt32], _ tree: DominatorTree, _ places: [UInt32: Int]) {
        let numbers = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($0.element, $0.offset) })
        for (index, node) in nodes.enumerated() {
            let above = tree.dominators[Int(node)]
            objects[index].holder =
                numbers[above].map(Object.Holder.object) ?? places[above].map(Object.Holder.root) ?? .others
        }
    }

    /// Of what several roots hold together.
    private mutating func findOwners(
        of nodes: [UInt32], _ reading: HeapReading, _ shared: SharedOwners?, _ places: [UInt32: Int]
    ) {
        guard let shared else {
            doubts.append("who holds memory together is not told: too much points from one hand into another")
            return
        }
        for (index, node) in nodes.enumerated().filter({ objects[$0.offset].holder == .others }).prefix(Self.mostShared)
        {
            let owners = shared.owners(of: node).filter {
                !reading.roots[Int($0) - reading.graph.nodeCount].isProbes
            }
            objects[index].ownerCount = owners.count
            objects[index].owners = Array(owners.compactMap { places[$0] }.sorted().prefix(Object.mostOwners))
        }
    }

    private static func types(
        _ reading: HeapReading, _ sizes: SizeList, _ retained: ContiguousArray<UInt64>,
        _ tree: DominatorTree, _ holding: consuming ContiguousArray<UInt32>, _ places: [UInt32: Int]
    ) -> [TypeCount] {
        // First, since the walk through the types needs their room.
        let holders = TypeHolders(reading, tree, holders: consume holding)
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
        let listed = counts.indices.filter { counts[$0].count > 0 }
        return largest(listed) { max(counts[$0].retainedBytes, counts[$0].shallowBytes) }.map { type in
            var count = counts[type]
            count.holders = holders.holders(of: type, places)
            return count
        }
    }

    private static func texts(_ reading: HeapReading) -> Texts? {
        guard let found = reading.texts else { return nil }
        let owners = reading.graph.sources(of: found.examples)
        var texts = found.texts
        for (index, example) in found.examples.enumerated() {
            guard let owner = owners[example] else { continue }
            texts.largest[index].owner =
                reading.collections.layout(owner)?.rawValue ?? reading.typeNames[Int(reading.types[Int(owner)])]
        }
        return texts
    }

    private static func way(around head: UInt32, _ reading: HeapReading) -> [String] {
        reading.graph.cycle(through: head, limit: 10_000).prefix(Object.deepest)
            .map { reading.typeNames[Int(reading.types[Int($0)])] }
    }

    /// Those of one type and kind together, with an example's way around.
    private static func leaks(_ reading: HeapReading, _ sizes: SizeList) -> [Leak] {
        struct Kind: Hashable {
            var type: UInt32
            var isCycle: Bool
        }
        var kinds: [Kind: (leak: Leak, example: UInt32)] = [:]
        for found in reading.graph.definiteLeaks(reached: reading.reached, sizes: sizes) {
            let type = reading.types[Int(found.head)]
            kinds[
                Kind(type: type, isCycle: found.isCycle),
                default: (
                    Leak(
                        type: reading.typeNames[Int(type)], heads: 0, bytes: 0, count: 0, isCycle: found.isCycle,
                        way: []),
                    found.head
                )
            ].leak.add(found)
        }
        return largest(Array(kinds.values)) { $0.leak.bytes }.map { leak, example in
            var leak = leak
            if leak.isCycle { leak.way = way(around: example, reading) }
            return leak
        }
    }
}

extension HeapSurvey.Leak {
    fileprivate mutating func add(_ leak: DefiniteLeak) {
        heads += 1
        bytes += leak.bytes
        count += leak.count
    }
}

extension HeapRoot {
    /// What the probe keeps for itself is no business of the program's.
    fileprivate var isProbes: Bool { isProbe(module) }
}

extension HeapSurvey.Root {
    fileprivate var isProbes: Bool { isProbe(module) }

    fileprivate init(_ root: HeapRoot, retainedBytes: UInt64, retainedCount: UInt64) {
        self.init(
            kind: root.kind, name: root.symbol, type: root.type, module: root.module, thread: root.thread,
            retainedBytes: retainedBytes,
            retainedCount: retainedCount)
    }
}
