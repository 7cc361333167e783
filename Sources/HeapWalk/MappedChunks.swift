import Algorithms
import RemoteProcess

/// Chunks that have mappings of their own, at whose start a header says so. Neighbours may share a mapping.
struct MappedChunks<Source: MemorySource> {
    let memory: Source
    let layout: GlibcLayout
    /// Two huge pages and more.
    private static var mostPages: Int { 1500 }
    /// Pages that are read at once, which costs less than a call for each.
    private static var piece: Int { 16 }
    /// At the ends of pages: some seconds, in memory that is hostile.
    private var looks = 1 << 22

    init(_ memory: Source, _ layout: GlibcLayout) {
        self.memory = memory
        self.layout = layout
    }

    struct Chunk {
        var whole: Range<UInt64>
        var block: Range<UInt64>
    }

    /// - Parameters:
    ///   - places: anonymous memory that is no arena's heap.
    ///   - most: the process waits, and what glibc counted is all there is.
    mutating func find(in places: [Range<UInt64>], most: Int) -> [Chunk] {
        var found: [Chunk] = []
        for place in places where found.count < most {
            let touched = memory.touched(place)
            var next = place.lowerBound
            for run in touched {
                var page = max(next, run.lowerBound)
                while page < run.upperBound, found.count < most {
                    let chunk = chunk(from: page, in: place, touched)
                    if let chunk { found.append(chunk) }
                    page = chunk?.whole.upperBound ?? page + 4096
                }
                next = page
            }
        }
        return found
    }

    /// The first header stays as it was when aligned_alloc and its like cut the chunk, and when that is made smaller or larger.
    private mutating func chunk(from page: UInt64, in place: Range<UInt64>, _ touched: [Range<UInt64>]) -> Chunk? {
        guard let first = header(at: page), first.before == 0, first.isMapped else { return nil }
        return aligned(from: page, first, in: place, touched) ?? chunk(at: page, first, in: place)
    }

    /// Where the alignment is at most a page its header has the same place in any first page, else it is at the end of a page,
    /// which is the second that was touched, or one of a huge page. By the mapping and not by the alignment, which is none
    /// any more where mremap has moved it. It is in the chunk that was cut, whose size the first header has kept.
    private mutating func aligned(
        from page: UInt64, _ first: Header, in place: Range<UInt64>, _ touched: [Range<UInt64>]
    ) -> Chunk? {
        for power in 6...12 {
            if let chunk = chunk(at: page + (1 << UInt64(power)) - 16, from: page, in: place) { return chunk }
        }
        var left = min(Self.mostPages, looks)
        for run in touched[touched.partitioningIndex { $0.upperBound > page }...] {
            var next = max(run.lowerBound, page + 4096)
            while next < run.upperBound, next - page < first.size {
                let pages = min(Self.piece, left, Int(run.upperBound - next) / 4096)
                guard pages > 0 else { return nil }
                (left, looks) = (left - pages, looks - pages)
                let words = memory.words(next, pages * 512)
                for end in stride(from: 512, through: words.count, by: 512) {
                    let header = Header(before: words[end - 2], words[end - 1])
                    let address = next + UInt64(end) * 8 - 16
                    if let chunk = chunk(at: address, header, from: page, in: place) { return chunk }
                }
                next += UInt64(pages) * 4096
            }
        }
        return nil
    }

    private func chunk(at address: UInt64, from page: UInt64, in place: Range<UInt64>) -> Chunk? {
        header(at: address).flatMap { chunk(at: address, $0, from: page, in: place) }
    }

    private func chunk(at address: UInt64, _ header: Header, from page: UInt64, in place: Range<UInt64>) -> Chunk? {
        header.before == address - page ? chunk(at: address, header, in: place) : nil
    }

    /// - Parameter address: of a header; `before` it there are so many bytes of its mapping.
    private func chunk(at address: UInt64, _ header: Header, in place: Range<UInt64>) -> Chunk? {
        let length = header.size &+ layout.behindMapped
        guard header.isMapped, length >= GlibcLayout.smallestChunk,
            address < place.upperBound, length <= place.upperBound - address,
            (header.before + length) % 4096 == 0
        else { return nil }
        let end = address + length
        return Chunk(whole: address - header.before..<end, block: address + 16..<end - layout.behindMapped / 2)
    }

    private struct Header {
        var before: UInt64
        var size: UInt64
        var isMapped: Bool

        init(before: UInt64, _ size: UInt64) {
            self.before = before & ~GlibcLayout.hugePages
            self.size = size & ~GlibcLayout.flags
            isMapped = size & GlibcLayout.flags == GlibcLayout.isMapped
        }
    }

    private func header(at address: UInt64) -> Header? {
        let words = memory.words(address, 2)
        guard words.count == 2 else { return nil }
        return Header(before: words[0], words[1])
    }
}
