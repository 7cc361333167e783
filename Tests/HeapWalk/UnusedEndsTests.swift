import HeapGraph
import HeapProfile
import Testing

@testable import HeapWalk

/// What lies in the room of a vector that no element takes.
@Suite struct UnusedEndsTests {
    /// Blocks of 64 bytes, one behind the other, each with eight words: the numbers of blocks, or nothing.
    private struct Heap: MemorySource {
        static let start: UInt64 = 0x5555_0000_0010
        static let stride: UInt64 = 80
        var words: [[UInt32?]]

        var index: BlockIndex {
            BlockIndex(ContiguousArray(words.indices.map { HeapBlock(address: Self.address(UInt32($0)), size: 64) }))
        }

        var graph: HeapGraph {
            var builder = HeapGraph.Builder()
            for block in words {
                for target in block.compactMap(\.self) { builder.addEdge(to: target) }
                builder.endNode()
            }
            return builder.finish()
        }

        static func address(_ block: UInt32) -> UInt64 { start + UInt64(block) * stride }

        func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
            var count = 0
            while count + 8 <= buffer.count {
                let (block, offset) = (address + UInt64(count) - Self.start).quotientAndRemainder(
                    dividingBy: Self.stride)
                guard block < words.count else { break }
                let word = offset < 64 ? words[Int(block)][Int(offset / 8)].map(Self.address) : nil
                buffer.storeBytes(of: word ?? 0, toByteOffset: count, as: UInt64.self)
                count += 8
            }
            return count
        }
    }

    /// Block 0 is a vector with room for eight elements; 1…4 point to nothing.
    private static func heap(_ elements: [UInt32?]) -> Heap {
        let nothing = [UInt32?](repeating: nil, count: 8)
        return Heap(words: [elements + nothing.dropFirst(elements.count), nothing, nothing, nothing, nothing])
    }

    private func targets(_ heap: Heap, used: UInt64, mayLead: Bool = true, roots: [[UInt32]]) -> [UInt32] {
        let ends = UnusedEnds(
            [.init(block: 0, bytes: used, mayLead: mayLead)], heap.graph, heap.index, heap)
        return Array(ends.leftOut(of: heap.graph, roots).targets(of: 0))
    }

    @Test func whatSomebodyElseHoldsIsLeftOut() {
        #expect(targets(Self.heap([1, 2, 3]), used: 16, roots: [[0], [3]]) == [1, 2])
    }

    /// It may be no vector at all: nothing is lost for it.
    @Test func whatHangsOnTheEndAloneStays() {
        #expect(targets(Self.heap([1, 2, 3]), used: 16, roots: [[0]]) == [1, 2, 3])
    }

    @Test func whatAnElementLeadsToAsWellStays() {
        #expect(targets(Self.heap([1, 2, 1]), used: 16, roots: [[0], [1]]) == [1, 2, 1])
    }

    /// Of several that look like one of the block, the longest counts.
    @Test func theMostCounts() {
        let heap = Self.heap([1, 2, 3])
        let ends = UnusedEnds(
            [.init(block: 0, bytes: 8, mayLead: true), .init(block: 0, bytes: 24, mayLead: true)], heap.graph,
            heap.index, heap)
        #expect(Array(ends.leftOut(of: heap.graph, [[0], [2], [3]]).targets(of: 0)) == [1, 2, 3])
    }

    /// A text leads nowhere; whose own words do is none.
    @Test func texts() {
        let roots: [[UInt32]] = [[0], [1], [3]]
        #expect(targets(Self.heap([nil, nil, 3]), used: 16, mayLead: false, roots: roots) == [])
        #expect(targets(Self.heap([1, nil, 3]), used: 16, mayLead: false, roots: roots) == [1, 3])
        for (elements, texts) in [([nil, nil, 3], [0]), ([1, nil, 3], [])] as [([UInt32?], Set<UInt32>)] {
            let heap = Self.heap(elements)
            let ends = UnusedEnds([.init(block: 0, bytes: 16, mayLead: false)], heap.graph, heap.index, heap)
            #expect(ends.texts == texts)
        }
    }

    /// Bytes, though they look like a vector.
    @Test func buffers() {
        let heap = Self.heap([1, 2, 3])
        let ends = UnusedEnds(
            [.init(block: 0, bytes: 24, mayLead: true)], buffers: [0], heap.graph, heap.index, heap)
        #expect(Array(ends.leftOut(of: heap.graph, [[0], [1], [3]]).targets(of: 0)) == [2])
    }

    /// An element that is cut by the end belongs to it.
    @Test func theEndIsRoundedUp() {
        #expect(targets(Self.heap([1, 2, 3]), used: 17, roots: [[0], [2], [3]]) == [1, 2, 3])
        #expect(targets(Self.heap([1, 2, 3]), used: 9, roots: [[0], [2], [3]]) == [1, 2])
    }
}

extension UnusedEnds {
    fileprivate func leftOut(of graph: HeapGraph, _ roots: [[UInt32]]) -> HeapGraph {
        DoubtfulEdges(edges, nodeCount: graph.nodeCount).leftOut(of: graph, HeapRoots(roots))
    }
}
