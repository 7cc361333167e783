import Testing

@testable import HeapWalk

/// Pointers into the midst of blocks: what a program means lies at one place in many of a size.
@Suite struct StrayPointersTests {
    private typealias Pointer = (from: UInt32, to: UInt32, offset: UInt64)

    /// Blocks of 56 bytes, and another one of 4096 behind them, with the number `count`.
    private static func index(_ count: Int) -> BlockIndex {
        var blocks = ContiguousArray((0..<count).map { HeapBlock(address: address(UInt32($0)), size: 56) })
        blocks.append(HeapBlock(address: address(UInt32(count)), size: 4096))
        return BlockIndex(blocks)
    }

    private static func address(_ block: UInt32) -> UInt64 { 0x5555_0000_0010 + UInt64(block) * 64 }

    /// Of the pointers those that may be none: who leads to whom.
    private func strays(_ pointers: [Pointer], of count: Int = 1000, tag: UInt64 = 0, isUnknown: Bool = true)
        -> [[UInt32]]
    {
        let index = Self.index(count)
        var strays = StrayPointers(index)
        for node in 0...UInt32(count) {
            for pointer in pointers where pointer.from == node {
                let word = tag << 56 | Self.address(pointer.to) + pointer.offset
                strays.see(
                    word, in: node, to: pointer.to, index.blocks[Int(pointer.to)], isUnknown: isUnknown)
            }
            strays.endBlock(node)
        }
        return strays.edges().map { [UInt32($0 >> 32), DoubtfulEdges.target($0)] }
    }

    private func chain(_ length: Int, at offset: UInt64) -> [Pointer] {
        (0..<UInt32(length)).map { (from: $0, to: $0 + 1, offset: offset) }
    }

    @Test func aPlaceOfItsOwnIsOne() {
        #expect(strays([(1000, 7, 32), (1000, 9, 16)]) == [[1000, 7], [1000, 9]])
        #expect(strays([(1000, 7, 32)], tag: 0x40) == [[1000, 7]])
    }

    @Test func beginningsAreNotNorTagsInTheirLowestBits() {
        #expect(strays([(1000, 7, 0), (1000, 8, 1), (1000, 9, 7)]).isEmpty)
    }

    /// One block in 32; one in two where the header of the next chunk lies.
    @Test(arguments: [(16, 31, 31), (16, 32, 0), (16, 500, 0), (48, 499, 499), (48, 500, 0)])
    func aPlaceThatIsCommonIsNot(offset: UInt64, pointers: Int, strays count: Int) {
        #expect(strays(chain(pointers, at: offset)).count == count)
        // Nor are the first of them, before it was known; another place is.
        #expect(strays([(999, 998, 32)] + chain(pointers, at: offset)).count == count + 1)
    }

    /// No header of a chunk lies there.
    @Test func whereNoChunkCanBeginIsNone() { #expect(strays([(1000, 7, 8), (1000, 7, 40), (1000, 7, 20)]).isEmpty) }

    @Test func whatHasATypeWasFilled() { #expect(strays([(1000, 7, 32)], isUnknown: false).isEmpty) }

    @Test func ofFewBlocksNoneIs() {
        #expect(strays([(1000, 1000, 2048)]).isEmpty)
        #expect(strays([(0, 7, 32)], of: 32).isEmpty)
        #expect(strays([(0, 7, 32)], of: 33).count == 1)
    }

    /// As what holds a buffer and a position in it.
    @Test func whoLeadsToTheBeginningAsWellIsCertain() {
        #expect(strays([(3, 7, 32), (3, 7, 0), (4, 7, 32)]) == [[4, 7]])
        #expect(strays([(3, 7, 0), (3, 7, 32), (3, 8, 32)]) == [[3, 8]])
    }

    /// Also before it was known to be common, and where no chunk can begin.
    @Test func whoLeadsToACommonPlaceAsWellIsCertain() {
        #expect(strays([(0, 1, 32), (999, 7, 16), (999, 7, 32)] + chain(100, at: 16)).isEmpty)
        #expect(strays([(3, 7, 32), (3, 7, 40), (4, 7, 32)]) == [[4, 7]])
    }
}
