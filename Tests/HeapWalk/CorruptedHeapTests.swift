import HeapGraph
import RemoteProcess
import TestSupport
import Testing

@testable import HeapWalk

/// A copy of a process's memory, of which bytes can be changed.
private struct CopiedMemory: MemorySource {
    var pieces: [(start: UInt64, bytes: [UInt8])]

    /// Of a moment at which the program stood still.
    static func writable(of program: WatchedProgram) throws -> (CopiedMemory, MemoryMap) {
        let stopped = try StoppedProcess(program.pid)
        defer { stopped.letGo() }
        let map = try #require(MemoryMap(of: program.pid))
        let memory = RemoteMemory(pid: program.pid)
        let pieces = map.mappings.filter { $0.isWritable && $0.end - $0.start < 64 << 20 }.compactMap { mapping in
            memory.read(mapping.start, Int(mapping.end - mapping.start)).map { (start: mapping.start, bytes: $0) }
        }
        return (CopiedMemory(pieces: pieces), map)
    }

    mutating func set(_ word: UInt64, at address: UInt64) {
        guard
            let piece = pieces.firstIndex(where: { address >= $0.start && address - $0.start < UInt64($0.bytes.count) })
        else { return }
        let offset = Int(address - pieces[piece].start)
        for index in 0..<8 {
            pieces[piece].bytes[offset + index] = UInt8(truncatingIfNeeded: word >> UInt64(index * 8))
        }
    }

    func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let piece = pieces.first(where: { address >= $0.start && address - $0.start < UInt64($0.bytes.count) })
        else { return 0 }
        let offset = Int(address - piece.start)
        let count = min(buffer.count, piece.bytes.count - offset)
        piece.bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        return count
    }
}

/// Memory is whatever a program left there: nothing in it may crash, hang or lead out of it.
@Suite struct CorruptedHeapTests {
    private static let program = """
        static std::map<std::string, std::vector<int>> table;
        static auto *hashed = new std::unordered_map<int, int>;
        static auto *sorted = new std::map<int, int>;
        static std::atomic<int> ready;
        static void work() {
            for (int i = 0; i < 500; i++) (*hashed)[i] = (*sorted)[i] = i;
            for (int i = 0; i < 300; i++) table[std::to_string(i)].resize(i);
            for (int i = 0; i < 2; i++)
                std::thread([] {
                    for (int i = 0; i < 300; i++) { void *volatile p = malloc(i * 3); if (i % 3) free(p); }
                    ready++;
                    for (;;) pause();
                }).detach();
            while (ready < 2) usleep(1000);
            malloc(400000);
        }
        """

    @Test func anyByteMayBeWrong() throws {
        let program = try WatchedProgram(Self.program)
        let (copy, map) = try CopiedMemory.writable(of: program)
        let memory = RemoteMemory(pid: program.pid)
        let version = try #require(glibcVersion(memory, map))
        let whole = try GlibcHeap(copy, map, version: version).inventory()
        #expect(whole.blocks.count > 790, "\(whole.blocks.count)")
        #expect(whole.doubts.isEmpty, "\(whole.doubts)")
        // Where the allocator's own words are: libc's data, the heap, the arenas' beginnings.
        let heaps = whole.heaps.map(\.lowerBound)
        var read = 0
        var tables = 0
        for seed in 1...400 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            var damaged = copy
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                let piece = Int.random(in: 0..<damaged.pieces.count, using: &random)
                let isHeap = heaps.contains(damaged.pieces[piece].start)
                let room = min(damaged.pieces[piece].bytes.count, isHeap ? 100_000 : 1 << 20)
                let offset = Int.random(in: 0..<room, using: &random)
                damaged.pieces[piece].bytes[offset] = UInt8.random(in: 0...255, using: &random)
            }
            do throws(HeapWalkError) {
                let inventory = try GlibcHeap(damaged, map, version: version).inventory()
                let scan = HeapScan(damaged, BlockIndex(inventory.blocks))
                var collections = CollectionScan(scan.index, CollectionLibraries(hasRust: true, hasLibcxx: true))
                var reader = TypeReader(memory, map)
                let blocks = scan.blocks(&reader, &collections)
                var found = Collections(
                    collections.candidates, scan.index, blocks.graph, blocks.firstWords, elementSizes: [:])
                // Whatever is no collection is read as one.
                var storages = Storages()
                for (number, block) in inventory.blocks.enumerated() {
                    storages.add(
                        UInt32(number), [.array, .dictionary, .set][number % 3], damaged.words(block.address, 4),
                        size: block.size)
                }
                let vectors = FoundVector.settled(collections.vectors, scan.index)
                found.add(vectors, elementSizes: [:], of: inventory.blocks.count)
                let ends = UnusedEnds(
                    vectors.used + collections.texts.used, blocks.graph, scan.index, damaged)
                _ = collections.texts.waste(scan.index, damaged, quotes: true)
                storages.findFields(blocks.graph, scan.index, damaged)
                found.add(storages, scan.index)
                let doubtful = DoubtfulEdges(ends.edges + blocks.doubtful, nodeCount: blocks.graph.nodeCount)
                let contracted = doubtful.leftOut(
                    of: found.contracted(blocks.graph, weak: blocks.weak), HeapRoots([[0]]))
                #expect(contracted.nodeCount == inventory.blocks.count)
                tables += found.all.count
                read += 1
            } catch {
                #expect(!error.description.contains("\n"))
            }
        }
        // Most damage is to what programs keep in their blocks, which is theirs.
        #expect(read > 50 && tables > read / 2)
    }

    /// Lists that lead back to themselves, and to heaps that were seen already.
    @Test func ringsEnd() throws {
        let program = try WatchedProgram(Self.program)
        let (copy, map) = try CopiedMemory.writable(of: program)
        let memory = RemoteMemory(pid: program.pid)
        let version = try #require(glibcVersion(memory, map))
        let heap = try GlibcHeap(copy, map, version: version)
        let arena = try #require(memory.word(heap.mainArena + heap.layout.next))
        #expect(arena != heap.mainArena)
        let start = arena & ~(GlibcLayout.heapSize - 1)
        // The arena's next is itself; its heap's previous one is itself; the main arena is an arena of the ring as well.
        for (address, value) in [
            (arena + heap.layout.next, arena), (start + 8, start), (heap.mainArena + heap.layout.next, arena + 16),
        ] {
            var damaged = copy
            damaged.set(value, at: address)
            let inventory = try? GlibcHeap(damaged, map, version: version).inventory()
            _ = inventory.map { BlockIndex($0.blocks) }
            #expect(inventory.map { $0.blocks.count > 0 } ?? true)
        }
    }

    @Test func gapsBetweenParts() {
        #expect((0..<10).gaps(between: []) == [0..<10])
        #expect((10..<20).gaps(between: [5..<12, 14..<15, 14..<16, 19..<30]) == [12..<14, 16..<19])
        #expect((10..<20).gaps(between: [0..<20]) == [])
        #expect((10..<20).gaps(between: [0..<10, 20..<30]) == [10..<20])
    }
}
