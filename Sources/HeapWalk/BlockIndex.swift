import Algorithms

/// Finds the block that an address lies in, interior or not: a table of pages for each stretch of addresses in which
/// blocks lie. 4 bytes a page beside the blocks; a look-up reads the table and a block or two.
struct BlockIndex {
    let blocks: ContiguousArray<HeapBlock>
    private var stretches: [Stretch] = []
    /// Most words are no addresses of blocks at all.
    private let lowest: UInt64
    private let highest: UInt64
    private static let page: UInt64 = 4096
    /// The top byte of a pointer may hold a language's tag.
    static let addressBits: UInt64 = 0x00ff_ffff_ffff_ffff

    private struct Stretch {
        var start: UInt64
        var end: UInt64
        /// The last block that begins at or before each page's start, or the stretch's first.
        var blockOfPage: ContiguousArray<UInt32>
    }

    /// - Parameter blocks: by address, fewer than 2^32.
    init(_ blocks: ContiguousArray<HeapBlock>) {
        self.blocks = blocks
        lowest = blocks.first?.address ?? 0
        highest = blocks.last?.end ?? 0
        var first = 0
        while first < blocks.count {
            var last = first
            while last + 1 < blocks.count, blocks[last + 1].address - blocks[last].end < 1 << 20 { last += 1 }
            stretches.append(Self.stretch(blocks, first...last))
            first = last + 1
        }
    }

    private static func stretch(_ blocks: ContiguousArray<HeapBlock>, _ range: ClosedRange<Int>) -> Stretch {
        let start = blocks[range.lowerBound].address & ~(page - 1)
        let end = blocks[range.upperBound].end
        var table = ContiguousArray<UInt32>()
        table.reserveCapacity(Int((end - start) / page) + 1)
        var block = range.lowerBound
        for address in stride(from: start, to: end, by: Int(page)) {
            while block < range.upperBound, blocks[block + 1].address <= address { block += 1 }
            table.append(UInt32(block))
        }
        return Stretch(start: start, end: end, blockOfPage: table)
    }

    /// Of the block that `word` points into.
    func block(at word: UInt64) -> UInt32? {
        let address = word & Self.addressBits
        guard address >= lowest, address < highest, let stretch = stretch(at: address) else { return nil }
        var block = stretch.blockOfPage[Int((address - stretch.start) / Self.page)]
        while Int(block) + 1 < blocks.count, blocks[Int(block) + 1].address <= address { block += 1 }
        let found = blocks[Int(block)]
        return found.address <= address && address < found.end ? block : nil
    }

    func block(startingAt word: UInt64) -> UInt32? {
        block(at: word).flatMap { blocks[Int($0)].address == word ? $0 : nil }
    }

    /// The blocks that begin in `range`, with the headers before them.
    func blocks(in range: Range<UInt64>) -> [Range<UInt64>] {
        let first = blocks.partitioningIndex { $0.address >= range.lowerBound }
        return blocks[first...].prefix { $0.address < range.upperBound }.map { $0.address - 16..<$0.end }
    }

    private func stretch(at address: UInt64) -> Stretch? {
        let index = stretches.partitioningIndex { $0.end > address }
        return index < stretches.count && stretches[index].start <= address ? stretches[index] : nil
    }
}

extension HeapBlock {
    /// Nothing is behind `end` but what the allocator rounds up: 16 bytes, and a page where the block is a mapping of its own.
    func isFilled(to end: UInt64) -> Bool { end <= self.end && self.end - end < (size > 1 << 16 ? 4096 + 32 : 32) }

    /// How far in it `word` points.
    func offset(of word: UInt64) -> UInt64 { (word & BlockIndex.addressBits) - address }

    /// A block of no bytes still has an address of its own.
    package var end: UInt64 { address + max(1, size) }
}
