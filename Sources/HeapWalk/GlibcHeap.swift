import RemoteProcess

/// Finds glibc's arenas in a process and lists the blocks that are in use, without symbols and without the process's help.
///
/// main_arena is found by its bins: 127 pairs of links in a row, each to itself or to chunks that link back. Costs one
/// reading of the heap, some 8 GB/s.
struct GlibcHeap<Source: MemorySource> {
    let memory: Source
    let map: MemoryMap
    let layout: GlibcLayout
    let mainArena: UInt64
    private let brk: Mapping?
    /// Of malloc_par.sbrk_base; nil where it was not found.
    private let base: (address: UInt64, value: UInt64)?

    private static var whole: Int { 124 }

    /// - Parameter version: of glibc, 236 for 2.36.
    init(_ memory: Source, _ map: MemoryMap, version: Int) throws(HeapWalkError) {
        guard let layout = GlibcLayout(version: version) else {
            throw HeapWalkError(
                .foreignAllocator,
                "the process uses glibc \(version / 100).\(version % 100), whose heap heaptide does not know")
        }
        self.memory = memory
        self.map = map
        self.layout = layout
        var found: (bins: UInt64, score: Int)?
        var base: (UInt64, UInt64)?
        brk = Self.brk(map)
        for (start, words) in Self.libcData(memory, map) {
            if let bins = Self.bins(in: words, at: start, memory), bins.score > found?.score ?? 0 { found = bins }
            if let brk { base = base ?? Self.sbrkBase(in: words, at: start, brk) }
        }
        guard let found, found.score >= Self.whole else {
            throw HeapWalkError(
                .foreignAllocator,
                "the process does not use glibc's allocator: start it with every allocation recorded (heaptide run --interval 1), "
                    + "or take the snapshot without --heap"
            )
        }
        mainArena = found.bins - layout.bins
        self.base = base
    }

    /// mlock, mprotect and madvise cut it into several mappings.
    private static func brk(_ map: MemoryMap) -> Mapping? {
        let parts = map.mappings.filter { $0.path == "[heap]" }
        var whole = parts.first
        if let last = parts.last { whole?.end = last.end }
        return whole
    }

    /// libc's writable memory: its own pages and those behind them.
    private static func libcData(_ memory: Source, _ map: MemoryMap) -> [(UInt64, [UInt64])] {
        let libc = map.mappings.indices.filter {
            let name = fileName(map.mappings[$0].path)
            return name.hasPrefix("libc.so.6") || name.hasPrefix("libc-2.")
        }
        guard let last = libc.last else { return [] }
        let behind = last + 1 < map.mappings.count ? [last + 1] : []
        return (libc + behind).map { map.mappings[$0] }.filter { $0.isWritable && $0.end - $0.start <= 1 << 24 }
            .map { ($0.start, memory.words($0.start, Int($0.end - $0.start) / 8)) }
    }

    /// The place with the most bins that are as they should be.
    private static func bins(in words: [UInt64], at start: UInt64, _ memory: Source) -> (bins: UInt64, score: Int)? {
        let count = GlibcLayout.binCount
        guard words.count > 2 * count else { return nil }
        var best: (bins: UInt64, score: Int)?
        for first in 0..<(words.count - 2 * count) {
            guard mayBeBins(words[first..<first + 2 * count]) else { continue }
            let pair = start + UInt64(first) * 8
            var score = 0
            for bin in 0..<count where score >= bin - (count - whole) {
                let at = start + UInt64(first + 2 * bin) * 8
                let (forward, back) = (words[first + 2 * bin], words[first + 2 * bin + 1])
                let isEmpty = forward == at - 16 && back == at - 16
                if isEmpty || memory.words(forward &+ 24, 1) == [at - 16] && memory.words(back &+ 16, 1) == [at - 16] {
                    score += 1
                }
            }
            if score > best?.score ?? 0 { best = (pair, score) }
        }
        return best
    }

    /// Nearly all of them link to chunks or to themselves, at multiples of 8: told without reading any.
    private static func mayBeBins(_ links: ArraySlice<UInt64>) -> Bool {
        var wrong = 0
        for link in links where link == 0 || link & 7 != 0 {
            wrong += 1
            if wrong > 2 * (GlibcLayout.binCount - whole) { return false }
        }
        return true
    }

    /// In malloc_par: tcache_bins, at most 64, stands right behind it.
    private static func sbrkBase(in words: [UInt64], at start: UInt64, _ brk: Mapping) -> (UInt64, UInt64)? {
        for index in words.indices.dropLast()
        where brk.contains(words[index]) && words[index] & 15 == 0 && (1...64).contains(words[index + 1]) {
            return (start + UInt64(index) * 8, words[index])
        }
        return nil
    }

    // MARK: The inventory

    package func inventory() throws(HeapWalkError) -> HeapInventory {
        var walk = GlibcWalk(memory, layout)
        var heaps: [Range<UInt64>] = []
        let top = memory.words(mainArena &+ layout.top, 1).first ?? 0
        if let brk, brk.contains(top) {
            try walk.chunks(from: base?.value ?? brk.start, to: top)
            heaps.append(brk.start..<brk.end)
        } else if top != mainArena &+ layout.top {  // as it is until the first block
            walk.inventory.doubts.append("the main heap is not where it should be: its blocks are missing")
        }
        let arenas = self.arenas()
        for arena in arenas where arena != mainArena {
            let own = self.heaps(of: arena)
            if own.isEmpty {
                walk.inventory.doubts.append("an arena has no heap where it should be: its blocks are missing")
            }
            for heap in own {
                try walk.chunks(from: heap.first, to: heap.end, isOld: heap.isOld)
                heaps.append(heap.range)
                walk.inventory.bookkeeping.append(heap.range.lowerBound..<heap.first)
            }
        }
        walk.inventory.heaps = heaps.sorted { $0.lowerBound < $1.lowerBound }
        addMappedChunks(&walk.inventory)
        try walk.order()
        for arena in arenas { walk.leaveOutFastBins(of: arena) }
        walk.leaveOutCached()
        walk.finish()
        walk.inventory.bookkeeping.append(mainArena..<mainArena + layout.stateSize)
        return walk.inventory
    }

    /// The ring of all arenas, main_arena first.
    private func arenas() -> [UInt64] {
        var all = [mainArena]
        var known: Set = [mainArena]
        while let next = memory.words(all[all.count - 1] &+ layout.next, 1).first,
            known.insert(next).inserted, all.count < 4096
        {
            all.append(next)
        }
        return all
    }

    private struct Heap {
        var range: Range<UInt64>
        var first: UInt64
        var end: UInt64
        /// Not the one that the arena takes new chunks from.
        var isOld: Bool
    }

    private func heaps(of arena: UInt64) -> [Heap] {
        guard let top = memory.words(arena &+ layout.top, 1).first, top < 1 << 47 else { return [] }
        var heaps: [Heap] = []
        var start = top & ~(GlibcLayout.heapSize - 1)
        var known: Set<UInt64> = []
        while start != 0, start < 1 << 47, known.insert(start).inserted {
            let header = memory.words(start, 3)
            guard header.count == 3, header[0] == arena, header[2] <= GlibcLayout.heapSize else { break }
            let isFirst = arena &- start < header[2]
            let behind = isFirst ? arena + layout.stateSize : start + layout.heapHeader
            let isOld = !heaps.isEmpty
            heaps.append(
                Heap(
                    range: start..<start + header[2], first: (behind + 15) & ~15, end: isOld ? start + header[2] : top,
                    isOld: isOld))
            start = header[1]
        }
        return heaps
    }

    // MARK: Chunks with mappings of their own

    private func addMappedChunks(_ inventory: inout HeapInventory) {
        let words = base.map { memory.words($0.address &- 40, 5) } ?? []
        let told = words.count == 5 ? layout.mapped(words) : nil
        var mapped = MappedChunks(memory, layout)
        let chunks = mapped.find(
            in: anonymousMemory().flatMap { $0.gaps(between: inventory.heaps) },
            most: told.map { Int(clamping: $0.count) } ?? 1 << 20)
        inventory.blocks += chunks.map { HeapBlock(address: $0.block.lowerBound, size: UInt64($0.block.count)) }
        guard let told else { return inventory.doubts.append("the number of mapped chunks was not checked") }
        let bytes = chunks.reduce(0) { $0 + UInt64($1.whole.count) }
        if told.count != chunks.count {
            inventory.doubts.append(
                "\(chunks.count) chunks with mappings of their own were found, and glibc counts \(told.count)")
        } else if layout.tellsMappedBytes && told.bytes != bytes {
            inventory.doubts.append(
                "the chunks with mappings of their own have \(bytes) bytes, and glibc counts \(told.bytes)")
        }
    }

    /// What adjoins is one: mlock and madvise cut a chunk's mapping into several.
    private func anonymousMemory() -> [Range<UInt64>] {
        var parts: [Range<UInt64>] = []
        for mapping in map.mappings where mapping.isReadable && mapping.isAnonymous && !mapping.isShared {
            if let last = parts.last, last.upperBound == mapping.start {
                parts[parts.count - 1] = last.lowerBound..<mapping.end
            } else {
                parts.append(mapping.start..<mapping.end)
            }
        }
        return parts
    }
}
