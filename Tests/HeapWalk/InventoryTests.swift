import CHeapLedger
import Foundation
import HeapLedger
import HeapProfile
import HeapWalk
import TestSupport
import Testing

/// The walk from outside against the probe's record of every block.
@Suite struct InventoryTests {
    private static let busyProgram = """
        static std::atomic<int> ready;
        static void churn(unsigned seed) {
            std::vector<void *> kept;
            unsigned state = seed * 2654435761u + 1;
            for (int i = 0; i < 30000; i++) {
                state = state * 1664525u + 1013904223u;
                if (state % 3 && !kept.empty()) {
                    void *&victim = kept[state / 7 % kept.size()];
                    free(victim);
                    victim = nullptr;
                }
                size_t size = state % 1000 == 0 ? 200000 + state % 300000 : state / 11 % 1500;
                kept.push_back(state % 50 == 1 ? aligned_alloc(256, (size | 255) + 1) : malloc(size));
            }
            ready++;
            // Its cache and its arena stay as they are.
            for (;;) pause();
        }
        static void work() {
            for (unsigned i = 0; i < 8; i++) std::thread(churn, i).detach();
            while (ready < 8) usleep(1000);
            churn_main();
        }
        """

    @Test(arguments: [
        "", "glibc.malloc.arena_max=1", "glibc.malloc.mmap_threshold=65536", "glibc.malloc.tcache_count=0",
        "glibc.malloc.tcache_count=100", "glibc.malloc.perturb=85", "glibc.malloc.tcache_max=64",
        "glibc.malloc.top_pad=4194304",
    ])
    func everyBlockAndNoOther(tunables: String) throws {
        let top = Self.busyProgram.replacingOccurrences(
            of: "static void work() {",
            with: """
                static void churn_main() { for (int i = 0; i < 2000; i++) { void *p = malloc(i); if (i % 2) free(p); } }
                static void work() {
                """)
        let ledgers = TemporaryFolder()
        let program = try WatchedProgram(
            top,
            environment: [
                "LD_PRELOAD": Products.probe, "HEAPTIDE_DIR": ledgers.path, "HEAPTIDE_SAMPLE_INTERVAL": "1",
                "GLIBC_TUNABLES": tunables,
            ])
        let inventory = try HeapSnapshotter.inventory(program.pid)
        let truth = try recorded(in: ledgers)
        let found = Set(inventory.blocks.map(\.address))
        #expect(truth.count > 60_000)
        #expect(truth.subtracting(found).isEmpty, "missed \(truth.subtracting(found).count) of \(truth.count)")
        // The program's own start allocated before the probe's first sample, and the C library for itself.
        let others = found.subtracting(truth)
        #expect(others.count < 60, "\(others.count) blocks that nobody asked for")
        #expect(inventory.doubts.isEmpty)
    }

    /// Addresses of the live blocks in the only ledger.
    private func recorded(in folder: TemporaryFolder) throws -> Set<UInt64> {
        let path = try #require(LedgerFolder(path: folder.path).all().first)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        return bytes.withUnsafeBytes { bytes in
            let header = bytes.loadUnaligned(as: hl_header.self)
            let keys = (0..<Int(header.samples_capacity)).map { index in
                bytes.loadUnaligned(fromByteOffset: Int(header.keys_offset) + index * 8, as: UInt64.self)
            }
            return Set(keys.filter { $0 > UInt64(HL_KEY_RESERVED) })
        }
    }

    @Test func aForeignAllocatorIsRefused() throws {
        let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
        let program = try WatchedProgram(
            "static void work() { malloc(1); }", environment: ["LD_PRELOAD": jemalloc])
        // glibc's arena is there, and empty: what the program holds is not in it.
        let error = #expect(throws: HeapWalkError.self) { try HeapSnapshotter.inventory(program.pid) }
        #expect(error?.code == .foreignAllocator)
    }

    @Test func noSuchProcess() {
        let error = #expect(throws: HeapWalkError.self) { try HeapSnapshotter.inventory(Int32.max - 7) }
        #expect(error?.code == .processUnreadable)
    }
}
