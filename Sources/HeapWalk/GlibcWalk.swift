/// From chunk to chunk through heaps that glibc manages.
struct GlibcWalk<Source: MemorySource>: ~Copyable {
    var inventory = HeapInventory()
    private let memory: Source
    private let layout: GlibcLayout
    private var window: MemoryWindow<Source>
    /// By index into the blocks: free after all, in a list of which the chunks' headers do not tell.
    private var free: Set<Int> = []

    init(_ memory: Source, _ layout: GlibcLayout) {
        self.memory = memory
        self.layout = layout
        window = MemoryWindow(memory)
    }

    /// Throws `busy` where the chain is broken: somebody is at it.
    mutating func chunks(from first: UInt64, to end: UInt64, isOld: Bool = false) throws(HeapWalkError) {
        var chunk = first
        var size = try self.size(of: chunk)
        while chunk < end {
            let length = size & ~GlibcLayout.flags
            // An old heap ends in posts of 16 bytes and of none.
            if isOld, length < GlibcLayout.smallestChunk { return }
            guard length >= GlibcLayout.smallestChunk, length & 15 == 0, length <= end - chunk else {
                throw Self.torn(chunk)
            }
            let next = try self.size(of: chunk + length)
            if next & GlibcLayout.previousInUse != 0 {
                inventory.blocks.append(HeapBlock(address: chunk + 16, size: length - 8))
            } else if window.word(chunk + length) != length {
                throw Self.torn(chunk)
            }
            chunk += length
            size = next
        }
        if chunk != end { throw Self.torn(chunk) }
    }

    private mutating func size(of chunk: UInt64) throws(HeapWalkError) -> UInt64 {
        guard let size = window.word(chunk + 8) else { throw Self.torn(chunk) }
        return size
    }

    private static func torn(_ chunk: UInt64) -> HeapWalkError {
        HeapWalkError(.busy, "the heap's chain of chunks is broken at 0x\(String(chunk, radix: 16))")
    }

    /// Blocks that overlap come from heaps that are not what they seem.
    mutating func order() throws(HeapWalkError) {
        inventory.blocks.sort { $0.address < $1.address }
        let blocks = inventory.blocks
        for index in blocks.indices.dropFirst() where blocks[index].address < blocks[index - 1].end {
            throw Self.torn(blocks[index].address)
        }
    }

    // MARK: Free lists of which headers do not tell

    mutating func leaveOutFastBins(of arena: UInt64) {
        let bins = memory.words(arena &+ UInt64(layout.fastBins), layout.fastBinCount)
        for (bin, head) in bins.enumerated() where head != 0 {
            let list = list(from: head &+ 16, linked: .chunks, size: UInt64(bin) * 16 + 32)
            free.formUnion(list.indices)
            if !list.isWhole { inventory.doubts.append("a list of free chunks is broken") }
        }
    }

    /// The caches of the threads are blocks like others. What looks like one and is not would have to hold pointers to
    /// blocks of the right size in each place.
    mutating func leaveOutCached() {
        // A chunk may have been given out with the 16 bytes behind it, which were too few for another one.
        let sizes = layout.cacheSize...layout.cacheSize + 24
        for index in inventory.blocks.indices where sizes.contains(inventory.blocks[index].size) {
            let block = inventory.blocks[index]
            guard let cached = cached(by: block) else { continue }
            free.formUnion(cached)
            free.insert(index)
            inventory.bookkeeping.append(block.address..<block.address + block.size)
        }
    }

    private func cached(by block: HeapBlock) -> Set<Int>? {
        let bins = layout.cacheBins
        let words = memory.words(block.address, bins / 4 + bins)
        guard words.count == bins / 4 + bins else { return nil }
        var all: Set<Int> = []
        // How much each number differs from what it should be: of 2.43's, which tell the room, by the same for all.
        var differences: [Int: Int] = [:]
        for bin in 0..<bins {
            let told = Int(words[bin / 4] >> UInt64(bin % 4 * 16) & 0xffff)
            let head = words[bins / 4 + bin]
            let size = bin < GlibcLayout.cacheBinsOfOneSize ? UInt64(bin) * 16 + 32 : nil
            let list = head == 0 ? (indices: [], isWhole: true) : list(from: head, linked: .blocks, size: size)
            guard list.isWhole else { return nil }
            differences[layout.cacheTellsRoom ? told + list.indices.count : told - list.indices.count, default: 0] += 1
            all.formUnion(list.indices)
        }
        return all.isEmpty || !isCache(differences, bins) ? nil : all
    }

    /// The thread may be in the midst of a call, which has changed a list and not yet the number.
    private func isCache(_ differences: [Int: Int], _ bins: Int) -> Bool {
        guard let usual = differences.first(where: { $0.value >= bins - 1 })?.key, layout.cacheTellsRoom || usual == 0
        else { return false }
        return differences.keys.allSatisfy { abs($0 - usual) <= 1 }
    }

    /// What the links of a list lead to: the memory that malloc gives out, or the header 16 bytes before it.
    private enum Links { case blocks, chunks }

    /// The blocks of a list from `block` on; whole if it ends as lists do.
    ///
    /// - Parameter size: of each chunk; nil: any.
    private func list(from block: UInt64, linked links: Links, size: UInt64?) -> (indices: Set<Int>, isWhole: Bool) {
        var indices: Set<Int> = []
        var block = block
        while let index = inventory.index(startingAt: block),
            size.map({ inventory.blocks[index].size == $0 - 8 }) ?? true,
            let stored = memory.words(block, 1).first, indices.insert(index).inserted
        {
            let next = layout.next(stored, at: block)
            if next == 0 { return (indices, true) }
            block = links == .blocks ? next : next &+ 16
        }
        return (indices, false)
    }

    mutating func finish() {
        guard !free.isEmpty else { return }
        var held = ContiguousArray<HeapBlock>()
        held.reserveCapacity(inventory.blocks.count - free.count)
        for index in inventory.blocks.indices where !free.contains(index) { held.append(inventory.blocks[index]) }
        inventory.blocks = held
        free = []
    }
}
