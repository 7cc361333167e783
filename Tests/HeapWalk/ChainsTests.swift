import HeapGraph
import Testing

@testable import HeapWalk

/// Who leads into a list or tree from outside.
@Suite struct ChainsTests {
    /// Blocks of 8 words, or a few of them 10 as glibc makes them; behind them a larger one.
    private struct Heap: MemorySource {
        static let start: UInt64 = 0x5555_0000_0010
        var words: [[(node: Int, offset: UInt64)?]]
        var isMixed = false

        var index: BlockIndex {
            BlockIndex(
                ContiguousArray(
                    words.indices.map { node in
                        HeapBlock(
                            address: address(node),
                            size: node == words.count - 1 ? 8192 : isMixed && node % 7 == 3 ? 80 : 64)
                    }))
        }

        private func address(_ node: Int) -> UInt64 { Self.start + UInt64(node) * 96 }

        func word(_ node: Int, _ place: Int) -> UInt64 {
            place < words[node].count ? words[node][place].map { address($0.node) + $0.offset } ?? 0 : 0
        }

        func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
            var count = 0
            while count + 8 <= buffer.count {
                let (row, offset) = (address + UInt64(count) - Self.start).quotientAndRemainder(dividingBy: 96)
                let node = min(Int(row), words.count - 1)
                let place = Int(offset / 8) + (Int(row) - node) * 12
                guard node < words.count - 1 || place < 1024 else { break }
                buffer.storeBytes(of: word(node, place), toByteOffset: count, as: UInt64.self)
                count += 8
            }
            return count
        }
    }

    /// `links` of 1,000 nodes, and who is led to from the block behind them.
    private func heap(_ from: [(node: Int, offset: UInt64)], _ links: (Int) -> [Int?], at offset: UInt64 = 0) -> Heap {
        let nodes = (0..<1000).map { node in links(node).map { $0.map { (node: $0, offset: offset) } } }
        return Heap(words: nodes + [from.map(Optional.some)])
    }

    /// To whom the edges lead that may be none: all come from the block behind the nodes.
    private func strays(_ heap: Heap, isUnknown: Bool = true) -> [UInt32] {
        let index = heap.index
        var chains = Chains()
        var builder = HeapGraph.Builder()
        for (node, block) in index.blocks.enumerated() {
            for place in 0..<Int(block.size / 8) {
                let word = heap.word(node, place)
                guard let target = index.block(at: word) else { continue }
                builder.addEdge(to: target)
                chains.see(word, at: UInt64(place * 8), in: block, to: index.blocks[Int(target)])
            }
            builder.endNode()
        }
        let edges = chains.strays(builder.finish(), index, heap) { _ in isUnknown }
        #expect(edges.allSatisfy { $0 >> 32 == heap.words.count - 1 })
        return edges.map(DoubtfulEdges.target).sorted()
    }

    private static func next(_ node: Int) -> [Int?] { [nil, node > 0 ? node - 1 : nil] }
    private static func both(_ node: Int) -> [Int?] {
        [node > 0 ? node - 1 : nil, nil, nil, node < 999 ? node + 1 : nil]
    }

    /// The first one is the list's beginning, which somebody holds.
    @Test(arguments: [false, true]) func theMidstOfAList(isMixed: Bool) {
        var heap = heap([(999, 0), (500, 0), (20, 16), (0, 8)], Self.next)
        heap.isMixed = isMixed
        #expect(strays(heap) == [0, 20, 500])
    }

    /// Linked by their midst, as the kernel's lists are.
    @Test func linksMayLeadToAnyPlace() {
        #expect(strays(heap([(999, 0), (500, 0)], Self.next, at: 24)) == [500])
    }

    /// Either end may be held from outside.
    @Test func theMidstOfAListThatIsLinkedBothWays() {
        #expect(strays(heap([(999, 0), (500, 0), (0, 0)], Self.both)) == [500])
    }

    @Test func theMidstOfATree() {
        func child(_ number: Int) -> Int? { number < 1000 ? number : nil }
        let tree = heap([(0, 0), (1, 0), (700, 0)]) { [nil, child(2 * $0 + 1), child(2 * $0 + 2), ($0 - 1) / 2] }
        #expect(strays(tree) == [1, 700])
    }

    @Test func whatHasATypeIsMeant() {
        #expect(strays(heap([(500, 0)], Self.next), isUnknown: false) == [])
    }

    /// Many that lead to one are no list, and what is in one here and there is none.
    @Test func whatIsNoChain() {
        #expect(strays(heap([(500, 0)]) { [$0 == 500 ? nil : 500] }) == [])
        #expect(strays(heap([(501, 0)]) { [$0 < 200 || $0 >= 455 ? nil : $0 + 1] }) == [])
        #expect(strays(heap([(201, 0)]) { [$0 < 200 || $0 >= 457 ? nil : $0 + 1] }) == [201])
    }

    /// 300 links are enough of 1,000 blocks, and too few of 4,000.
    @Test(arguments: [(1000, [150]), (4000, [])] as [(Int, [UInt32])]) func ofManyBlocksMoreAreWanted(
        count: Int, strays: [UInt32]
    ) {
        let nodes = (0..<count).map { [$0 < 300 ? (node: $0 + 1, offset: UInt64(0)) : nil] }
        #expect(self.strays(Heap(words: nodes + [[(node: 150, offset: 0)]])) == strays)
    }

    /// A table of half of the nodes, beside the list of all.
    @Test func whatIsLedToAsARuleIsMeant() {
        #expect(strays(heap((0..<499).map { ($0, 0) }, Self.next)).count == 499)
        #expect(strays(heap((0..<500).map { ($0, 0) }, Self.next)).isEmpty)
    }

    /// Three of four of a block's 1,024 words lead to nodes, to a third of them.
    @Test func aTableIsMadeOfSuchPointers() {
        #expect(strays(heap((0..<767).map { ($0 % 333, 0) }, Self.next)).count == 767)
        #expect(strays(heap((0..<768).map { ($0 % 333, 0) }, Self.next)).isEmpty)
    }
}
