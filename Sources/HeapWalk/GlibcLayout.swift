/// Where glibc keeps what of its heap (malloc/malloc.c and arena.c; x86-64). Offsets in bytes.
struct GlibcLayout {
    static let binCount = 127
    /// Bits of a chunk's size.
    static let previousInUse: UInt64 = 1, isMapped: UInt64 = 2, flags: UInt64 = 7
    /// A bit of what stands before a mapped chunk's size (2.43).
    static let hugePages: UInt64 = 1
    static let smallestChunk: UInt64 = 32
    /// Heaps of the other arenas begin at multiples of it.
    static let heapSize: UInt64 = 64 << 20
    /// Lists of a thread's cache whose chunks are of one size each.
    static let cacheBinsOfOneSize = 64

    /// struct malloc_state: the same from 2.27 to 2.41; 2.43 has no fast bins any more.
    let fastBins = 16
    let fastBinCount: Int
    let top: UInt64, bins: UInt64, next: UInt64, stateSize: UInt64
    /// The cache of one thread: a chunk with so many numbers of 16 bits, and as many lists. The numbers tell how many chunks
    /// are in a list, from 2.43 on how many more there may be.
    let cacheBins: Int
    let cacheTellsRoom: Bool
    /// 2.43's sum of the bytes in chunks with mappings of their own drifts (seen: 16 where there is none).
    let tellsMappedBytes: Bool
    /// A chunk with a mapping of its own ends so many bytes before it, and its block takes half of them.
    let behindMapped: UInt64

    let version: Int
    /// sizeof(struct heap_info).
    var heapHeader: UInt64 { version >= 235 ? 0x30 : 0x20 }
    /// How many chunks have mappings of their own, and how many bytes (n_mmaps and mmapped_mem), of the five words before
    /// malloc_par's sbrk_base. The number is behind hp_flags, which came with 2.35, and before n_mmaps_max.
    func mapped(_ words: [UInt64]) -> (count: UInt64, bytes: UInt64) {
        (version >= 235 ? words[0] >> 32 : words[1] & 0xffff_ffff, words[3])
    }
    /// Links of free lists are mixed with their own address.
    var hasSafeLinking: Bool { version >= 232 }
    var cacheSize: UInt64 { UInt64(cacheBins) * 10 }

    /// nil for versions whose layout was not checked.
    init?(version: Int) {
        switch version {
        case 231...241:
            (fastBinCount, top, bins, next, stateSize) = (10, 96, 112, 2160, 2200)
            (cacheBins, cacheTellsRoom, tellsMappedBytes, behindMapped) = (64, false, true, 0)
        case 243:
            (fastBinCount, top, bins, next, stateSize) = (0, 8, 24, 2072, 2112)
            (cacheBins, cacheTellsRoom, tellsMappedBytes, behindMapped) = (76, true, false, 16)
        default: return nil
        }
        self.version = version
    }

    /// A link as it is stored at `address`.
    func next(_ stored: UInt64, at address: UInt64) -> UInt64 { hasSafeLinking ? stored ^ (address >> 12) : stored }
}
