import RemoteProcess
import TestSupport
import Testing

@testable import HeapWalk

/// Chunks with mappings of their own, in memory that is made up.
@Suite struct MappedChunksTests {
    private static let start: UInt64 = 0x7f00_0000_0000

    /// Zero but for some words.
    private struct Memory: MemorySource {
        var words: [UInt64: UInt64] = [:]
        var isAllTouched = false
        let copied = Copied()

        final class Copied { var bytes = 0 }

        func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
            copied.bytes += buffer.count
            for at in stride(from: 0, to: buffer.count & ~7, by: 8) {
                buffer.storeBytes(of: words[address + UInt64(at)] ?? 0, toByteOffset: at, as: UInt64.self)
            }
            return buffer.count & ~7
        }

        func touched(_ range: Range<UInt64>) -> [Range<UInt64>] {
            if isAllTouched { return [range] }
            return Set(words.keys.map { $0 & ~4095 }).sorted().map { $0..<$0 + 4096 }.filter(range.overlaps)
        }

        mutating func put(_ before: UInt64, _ size: UInt64, at address: UInt64) {
            (words[address], words[address + 8]) = (before, size | GlibcLayout.isMapped)
        }
    }

    private func find(_ memory: Memory, pages: UInt64, version: Int = 236) throws -> [MappedChunks<Memory>.Chunk] {
        let layout = try #require(GlibcLayout(version: version))
        let place = Self.start..<Self.start + pages * 4096
        var chunks = MappedChunks(memory, layout)
        return chunks.find(in: [place], most: 100)
    }

    @Test func neighboursShareAMapping() throws {
        var memory = Memory()
        memory.put(0, 0x3000, at: Self.start)
        memory.put(0, 0x2000, at: Self.start + 0x3000)
        memory.words[Self.start + 0x1000 + 8] = 0x1000 | GlibcLayout.isMapped  // what the first holds
        #expect(
            try find(memory, pages: 6).map(\.block) == [
                Self.start + 0x10..<Self.start + 0x3000, Self.start + 0x3010..<Self.start + 0x5000,
            ])
    }

    /// Each of many chunks that are written to all over.
    @Test func aPageIsLookedAtOnce() throws {
        var memory = Memory()
        memory.isAllTouched = true
        for number in 0..<50 as Range<UInt64> { memory.put(0, 0x28000, at: Self.start + number * 0x28000) }
        #expect(try find(memory, pages: 50 * 0x28).count == 50)
        #expect(memory.copied.bytes < 50 * 0x28000 * 5 / 4)
    }

    /// From 2.43 on the size leaves out 16 bytes at the end.
    @Test func aNewerChunkEndsBeforeItsMapping() throws {
        var memory = Memory()
        memory.put(1, 0x2ff0, at: Self.start)
        let chunk = try #require(try find(memory, pages: 6, version: 243).first)
        #expect(chunk.whole == Self.start..<Self.start + 0x3000)
        #expect(chunk.block == Self.start + 0x10..<Self.start + 0x2ff8)
    }

    /// mremap leaves what stands at the start of the mapping as it was, and may move it to where nothing is aligned.
    @Test(arguments: [UInt64(0x20000), 0x8000, 0x200000], [UInt64(0x30), 0xff0, 0x3ff0])
    func anAlignedBlockIsWhereItSays(first: UInt64, before: UInt64) throws {
        let start = Self.start + 0x3000
        let header = start + before
        var memory = Memory()
        memory.put(0, first, at: start)
        memory.put(header - start, 0x20000 - (header - start), at: header)
        memory.put(0, 0x5000, at: start + 0x20000)
        #expect(
            try find(memory, pages: 0x40).map(\.block) == [
                header + 16..<start + 0x20000, start + 0x20010..<start + 0x25000,
            ])
    }

    @Test func hostileHeadersEndWithinTheMapping() throws {
        var random = SplitMix64(seed: 41)
        for _ in 0..<300 {
            var memory = Memory()
            for _ in 0..<40 {
                let odd: [UInt64] = [0, 0x10, 0x30, 0xff0, 0x1000, 0x8000, .max, .max - 15, 1 << 47, random.next()]
                memory.put(
                    odd.randomElement(using: &random)!, odd.randomElement(using: &random)! & ~7,
                    at: Self.start + UInt64.random(in: 0..<16, using: &random) * 4096
                        + [0, 0, 0x30, 0xff0].randomElement(using: &random)!)
            }
            let chunks = try find(memory, pages: 16, version: Bool.random(using: &random) ? 236 : 243)
            #expect(
                chunks.allSatisfy { $0.whole.lowerBound >= Self.start && $0.whole.upperBound <= Self.start + 0x10000 })
            #expect(zip(chunks, chunks.dropFirst()).allSatisfy { $0.whole.upperBound <= $1.whole.lowerBound })
        }
    }
}
