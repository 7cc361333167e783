import RemoteProcess

/// Chunks that have mappings of their own, at whose start a header says so. Neighbours may share a mapping, also with an arena's heap.
extension GlibcHeap {
    func addMappedChunks(beside heaps: [Range<UInt64>], _ inventory: inout HeapInventory) {
        // Of malloc_par, before sbrk_base.
        let told = base.map { memory.words($0.address &- 40, 4) } ?? []
        let expected = told.count == 4 ? layout.mappedCount(told) : nil
        let places = map.mappings.filter { $0.isWritable && $0.path.isEmpty }
            .flatMap { Self.parts(of: $0.start..<$0.end, beside: heaps) }
        // The process waits: what glibc counted is all there is.
        let most = expected.map { Int(clamping: $0) } ?? 1 << 20
        var found: [MappedChunk] = []
        for place in places { found += chunks(in: place, most: most - found.count) }
        inventory.blocks += found.map { HeapBlock(address: $0.block.lowerBound, size: UInt64($0.block.count)) }
        guard let expected else { return inventory.doubts.append("the number of mapped chunks was not checked") }
        let bytes = found.reduce(0) { $0 + UInt64($1.whole.count) }
        if expected != found.count || layout.tellsMappedBytes && told[3] != bytes {
            inventory.doubts.append(
                "\(found.count) chunks with mappings of their own were found, and glibc counts \(expected)")
        }
    }

    private struct MappedChunk {
        var whole: Range<UInt64>
        var block: Range<UInt64>
    }

    /// What those ranges leave of one, upwards.
    private static func parts(of whole: Range<UInt64>, beside taken: [Range<UInt64>]) -> [Range<UInt64>] {
        var parts: [Range<UInt64>] = []
        var start = whole.lowerBound
        for range in taken.sorted(by: { $0.lowerBound < $1.lowerBound }) where range.overlaps(whole) {
            if range.lowerBound > start { parts.append(start..<range.lowerBound) }
            start = max(start, range.upperBound)
        }
        if start < whole.upperBound { parts.append(start..<whole.upperBound) }
        return parts
    }

    /// The one whose header is at `address`: the bytes of its mapping before it, and its size.
    private func chunk(at address: UInt64, _ before: UInt64, _ size: UInt64, in place: Range<UInt64>) -> MappedChunk? {
        let length = (size & ~GlibcLayout.flags) &+ layout.behindMapped
        guard size & GlibcLayout.flags == GlibcLayout.isMapped, before & 15 == 0, before <= address - place.lowerBound,
            (address - before) % 4096 == 0, length >= 32, length <= place.upperBound - address,
            (before + length) % 4096 == 0
        else { return nil }
        let end = address + length
        return MappedChunk(whole: address - before..<end, block: address + 16..<end - layout.behindMapped / 2)
    }

    private func chunks(in place: Range<UInt64>, most: Int) -> [MappedChunk] {
        var found: [MappedChunk] = []
        var next = place.lowerBound
        for run in memory.touched(place) {
            var page = max(next, run.lowerBound)
            while page < run.upperBound, found.count < most {
                let header = memory.words(page, 2)
                if header.count == 2, header[0] == 0, let chunk = chunk(at: page, 0, header[1], in: place) {
                    found.append(aligned(in: chunk) ?? chunk)
                    page = chunk.whole.upperBound
                } else {
                    page += 4096
                }
            }
            next = page
        }
        return found
    }

    /// The part of a chunk that was cut off for aligned_alloc and its like, in which its first header stays: the block is at
    /// the first or second multiple of the alignment.
    private func aligned(in chunk: MappedChunk) -> MappedChunk? {
        let place = chunk.whole
        for power in 5..<40 {
            let alignment: UInt64 = 1 << UInt64(power)
            let first = (place.lowerBound + 16 + alignment - 1) & ~(alignment - 1)
            for block in [first, first + alignment] where block < place.upperBound {
                let header = memory.words(block - 16, 2)
                if header.count == 2, header[0] > 0,
                    let part = self.chunk(at: block - 16, header[0], header[1], in: place), part.whole == place
                {
                    return part
                }
            }
        }
        return nil
    }
}
