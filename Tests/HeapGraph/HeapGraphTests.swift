import HeapGraph
import TestSupport
import Testing

@Suite struct HeapGraphTests {
    @Test func dominatorsAsTheOracleFindsThem() {
        for seed in 0..<10_000 as Range<UInt64> {
            let random = RandomGraph(seed: seed)
            let tree = DominatorTree(random.graph, roots: HeapRoots(random.roots))
            #expect(Array(tree.retained(random.sizes)) == random.retained(), "seed \(seed)")
            let ones = ContiguousArray<UInt64>(repeating: 1, count: random.sizes.count)
            #expect(tree.retainedCounts().map(UInt64.init) == Array(tree.retained(ones)), "seed \(seed)")
            let holders = tree.holders()
            for node in random.edges.indices {
                var (top, above) = (UInt32(node), tree.dominators[node])
                while above < tree.firstRoot { (top, above) = (above, tree.dominators[Int(above)]) }
                #expect(holders[node] == (above == tree.origin ? top : above), "seed \(seed)")
            }
            var path: [UInt32] = []
            var entered: [Int] = []
            tree.walk(
                enter: { node in
                    let above = tree.dominators[Int(node)]
                    #expect(above >= tree.firstRoot ? path.isEmpty : path.last == above, "seed \(seed)")
                    path.append(node)
                    entered.append(Int(node))
                }, leave: { #expect(path.popLast() == $0) })
            #expect(Set(entered) == Set(tree.order.filter { $0 < tree.firstRoot }.map(Int.init)))
            #expect(entered.count == Set(entered).count)
            let reached = Set(tree.order.map(Int.init))
            #expect(reached == random.reached(), "seed \(seed)")
        }
    }

    /// The case that LeakCanary's approximation got wrong (square/leakcanary issue 2715): when "42" is met, it is not
    /// known yet that a longer way leads to Life, too.
    @Test func aHolderThatIsRaisedLate() {
        let (hitchhiker, everything, life, universe, fortyTwo, towel, fiber) = (0, 1, 2, 3, 4, 5, 6)
        let case2715 = RandomGraph(
            edges: [[1, 5], [2, 3], [4], [4], [], [6], [2]], roots: [[UInt32(hitchhiker)]])
        let tree = DominatorTree(case2715.graph, roots: HeapRoots(case2715.roots))
        for node in [everything, life, fortyTwo, towel] { #expect(tree.dominators[node] == hitchhiker) }
        #expect(tree.dominators[universe] == everything && tree.dominators[fiber] == towel)
        #expect(Array(tree.retained(case2715.sizes)) == case2715.retained())
    }

    @Test func aListOfTenMillionNeedsNoRecursion() {
        let count = 10_000_000
        var builder = HeapGraph.Builder(nodes: count, edges: 2 * count)
        for node in 0..<count {
            if node + 1 < count { builder.addEdge(to: UInt32(node + 1)) }
            if node > 0 { builder.addEdge(to: UInt32(node - 1)) }
            builder.endNode()
        }
        let graph = builder.finish()
        let tree = DominatorTree(graph, roots: HeapRoots([[0]]))
        let retained = tree.retained(ContiguousArray(repeating: 16, count: count))
        #expect(retained[0] == 160_000_000 && retained[count - 1] == 16 && retained[count] == 160_000_000)
        let leaks = graph.definiteLeaks(
            reached: NodeSet(nodeCount: count), sizes: ContiguousArray(repeating: 1, count: count))
        #expect(leaks.count == 1 && leaks.first?.isCycle == true)
    }

    @Test func reachabilityFromWhatIsKnown() {
        let random = RandomGraph(edges: [[1], [2], [], [4], [], []], roots: [[0], [3, 1]])
        let graph = random.graph
        let strong = graph.reachable(from: HeapRoots([[0]]))
        #expect((0..<6).filter { strong.contains($0) } == [0, 1, 2])
        let all = graph.reachable(from: HeapRoots([[3, 1]]), known: strong)
        #expect(all.count == 5 && !all.contains(5))
    }

    /// As few heads as there can be: none is led to by another, and together they lead to all that is not reached.
    @Test func leaksAreCoveredByTheFewestHeads() {
        for seed in 0..<10_000 as Range<UInt64> {
            let random = RandomGraph(seed: seed)
            let graph = random.graph
            let reached = graph.reachable(from: HeapRoots(random.roots))
            let leaks = graph.definiteLeaks(reached: reached, sizes: random.sizes)
            let heads = leaks.map(\.head)
            // Each lost block is counted once, and what is held never.
            let lost = random.sizes.indices.filter { !reached.contains(UInt32($0)) }
            #expect(leaks.reduce(0) { $0 + $1.count } == lost.count, "seed \(seed)")
            #expect(leaks.reduce(0) { $0 + $1.bytes } == lost.reduce(0) { $0 + random.sizes[$1] }, "seed \(seed)")
            let covered = graph.reachable(from: HeapRoots([heads]), known: reached)
            #expect(covered.count == graph.nodeCount, "seed \(seed)")
            for leak in leaks {
                let led = graph.reachable(from: HeapRoots([random.edges[Int(leak.head)]]))
                #expect(leak.isCycle == led.contains(leak.head), "seed \(seed)")
                #expect(!reached.contains(leak.head))
                #expect(heads.allSatisfy { $0 == leak.head || !led.contains($0) }, "seed \(seed)")
            }
        }
    }

    /// All roots that lead to a shared node, and no other.
    @Test func ownersOfWhatIsShared() throws {
        var shared = 0
        for seed in 0..<10_000 as Range<UInt64> {
            let random = RandomGraph(seed: seed)
            let (graph, roots) = (random.graph, HeapRoots(random.roots))
            let tree = DominatorTree(graph, roots: roots)
            let owners = try #require(
                SharedOwners(graph, roots: roots, tree, holders: tree.holders(), limit: 1000))
            for node in 0..<tree.firstRoot where tree.dominators[Int(node)] == tree.origin {
                shared += 1
                let expected = random.roots.indices.filter {
                    graph.reachable(from: HeapRoots([random.roots[$0]])).contains(node)
                }
                #expect(owners.owners(of: node) == expected.map { tree.firstRoot + UInt32($0) }, "seed \(seed)")
            }
        }
        #expect(shared > 5000)
    }

    /// A closed way along edges, and no shorter one exists.
    @Test func cyclesAreTheShortest() {
        var cycles = 0
        for seed in 0..<10_000 as Range<UInt64> {
            let random = RandomGraph(seed: seed)
            let graph = random.graph
            for node in 0..<UInt32(graph.nodeCount) {
                let way = graph.cycle(through: node, limit: 100)
                var (steps, layer) = (0, Set([node]))
                repeat {
                    layer = Set(layer.flatMap { random.edges[Int($0)] })
                    steps += 1
                } while !layer.contains(node) && steps <= graph.nodeCount
                #expect(way.count == (steps <= graph.nodeCount ? steps : 0), "seed \(seed)")
                guard let last = way.last else { continue }
                cycles += 1
                #expect(way.first == node && random.edges[Int(last)].contains(node), "seed \(seed)")
                #expect(zip(way, way.dropFirst()).allSatisfy { random.edges[Int($0)].contains($1) }, "seed \(seed)")
            }
        }
        #expect(cycles > 10_000)
        // A hub is looked at as far as the limit goes.
        let hub = RandomGraph(edges: [[1], Array(2..<2000) + [0]] + Array(repeating: [], count: 1998), roots: []).graph
        #expect(hub.cycle(through: 0, limit: 1000) == [] && hub.cycle(through: 0, limit: 2000) == [0, 1])
        let ring = RandomGraph(edges: [[1], [2], [3], [0]], roots: []).graph
        #expect(ring.cycle(through: 0, limit: 3) == [] && ring.cycle(through: 0, limit: 4) == [0, 1, 2, 3])
    }

    @Test func whoPointsToAFew() {
        let graph = RandomGraph(edges: [[0, 3], [3, 2], [2], [4], []], roots: []).graph
        #expect(graph.sources(of: [0, 2, 3]) == [2: 1, 3: 0] && graph.sources(of: []).isEmpty)
    }

    @Test func nothingAtAll() {
        let empty = HeapGraph.Builder().finish()
        let tree = DominatorTree(empty, roots: HeapRoots([]))
        #expect(Array(tree.retained([])) == [0])
        #expect(empty.definiteLeaks(reached: NodeSet(nodeCount: 0), sizes: []).isEmpty)
    }
}
