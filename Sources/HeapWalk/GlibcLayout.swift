/// Where glibc keeps what of its heap (malloc/malloc.c and arena.c; x86-64). Offsets in bytes.
struct GlibcLayout {
    /// struct malloc_state, the same from 2.27 on.
    static let fastBins = 16, top = 96, bins = 112, next = 2160, stateSize = 2200
    static let fastBinCount = 10, binCount = 127
    /// Bits of a chunk's size.
    static let previousInUse: UInt64 = 1, isMapped: UInt64 = 2, flags: UInt64 = 7
    static let smallestChunk: UInt64 = 32
    /// Heaps of the other arenas begin at multiples of it.
    static let heapSize: UInt64 = 64 << 20
    /// The cache of one thread: a chunk of this size with 64 counts of 16 bits and 64 lists.
    static let cacheChunk: UInt64 = 0x290
    static let cacheBins = 64

    let version: Int
    /// sizeof(struct heap_info).
    var heapHeader: UInt64 { version >= 235 ? 0x30 : 0x20 }
    /// Links of free lists are mixed with their own address.
    var hasSafeLinking: Bool { version >= 232 }
    /// nil for versions whose layout was not checked.
    init?(version: Int) {
        guard (231...241).contains(version) else { return nil }
        self.version = version
    }

    /// A link as it is stored at `address`.
    func next(_ stored: UInt64, at address: UInt64) -> UInt64 { hasSafeLinking ? stored ^ (address >> 12) : stored }
}
