import CHeapLedger
import Foundation
import HeapLedger
import HeapProfile
import RemoteProcess
import TestSupport
import Testing

@testable import HeapWalk

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

    /// A ledger may say anything.
    @Test func recordedBlocksLieWhereMemoryIs() {
        let map = MemoryMap(
            "7f0000000000-7f0000010000 rw-p 00000000 00:00 0 \n7f0000010000-7f0000020000 rw-p 00000000 00:00 0 ")
        let start: UInt64 = 0x7f00_0000_0000
        let fine: [(address: UInt64, size: UInt64)] = [(start + 16, 32), (start + 48, 0), (start + 64, 0x10000)]
        let wrong: [(address: UInt64, size: UInt64)] = [
            (start + 40, 100), (start + 0x1ff00, 0x101), (start - 16, 32), (start + 0x1fff0, 1 << 48), (4096, 8),
            (.max - 8, 16), (.max - 8, .max),
        ]
        var inventory = HeapInventory(recorded: fine + wrong)
        inventory.addHeaps(map)
        #expect(inventory.blocks.map(\.address) == fine.map(\.address))
        #expect(inventory.doubts == ["7 recorded blocks were left out: they are not where memory is, or overlap"])
        let heap = start..<(start + 0x10000)
        #expect(inventory.heaps == [heap])
    }

    @Test(arguments: [
        "", "glibc.malloc.arena_max=1", "glibc.malloc.mmap_threshold=65536", "glibc.malloc.tcache_count=0",
        "glibc.malloc.tcache_count=100", "glibc.malloc.perturb=85", "glibc.malloc.tcache_max=64",
        "glibc.malloc.top_pad=4194304", "glibc.malloc.mxfast=0", "glibc.malloc.mmap_max=0", "glibc.malloc.hugetlb=1",
    ])
    func everyBlockAndNoOther(tunables: String) throws {
        let top = Self.busyProgram.replacingOccurrences(
            of: "static void work() {",
            with: """
                static void churn_main() {
                    for (int i = 0; i < 2000; i++) { void *p = malloc(i); if (i % 2) free(p); }
                    // More than comes from an arena.
                    for (size_t power = 5; power < 23; power++) {
                        void *volatile aligned = aligned_alloc(1 << power, 40 << 20);
                        if (power % 3) aligned = realloc(aligned, power % 3 == 1 ? 300000 : 80 << 20);
                    }
                }
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
        let truth = try recorded(in: ledgers, of: program)
        let found = Set(inventory.blocks.map(\.address))
        #expect(truth.count > 60_000)
        #expect(truth.subtracting(found).isEmpty, "missed \(truth.subtracting(found).count) of \(truth.count)")
        // The program's own start allocated before the probe's first sample, and the C library for itself.
        let others = found.subtracting(truth)
        #expect(others.count < 60, "\(others.count) blocks that nobody asked for")
        #expect(inventory.doubts.isEmpty)
    }

    /// Arenas' heaps are 8 MiB apart there, and nothing comes from brk.
    @Test func whatIsMissingIsSaid() throws {
        let source = Self.busyProgram.replacingOccurrences(of: "churn_main();", with: "")
        let program = try WatchedProgram(source, environment: ["GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"])
        let doubts = try HeapSnapshotter.inventory(program.pid).doubts
        #expect(doubts.contains { $0.hasSuffix("its blocks are missing") }, "\(doubts)")
    }

    /// As good in programs that nobody wrote for this: 99.9% of what is there is found, and 99.9% of what is found is there.
    private func check(_ program: WatchedProgram, _ name: String, atLeast blocks: Int) throws {
        let inventory = try HeapSnapshotter.inventory(program.pid)
        let truth = try recorded(in: program.folder, of: program)
        let found = Set(inventory.blocks.map(\.address))
        #expect(truth.count >= blocks, "\(name): \(truth.count)")
        let missed = truth.subtracting(found).count
        #expect(Double(missed) <= 0.001 * Double(truth.count), "\(name): missed \(missed) of \(truth.count)")
        // What the loader and the C library have allocated before the probe was there is in no record.
        let others = max(0, found.subtracting(truth).count - 60)
        #expect(Double(others) <= 0.001 * Double(found.count), "\(name): \(others) of \(found.count) are not there")
        #expect(inventory.doubts.isEmpty, "\(name): \(inventory.doubts)")
    }

    private static let swift = """
        final class Node { var text: String; var next: Node?; init(_ text: String) { self.text = text } }
        nonisolated(unsafe) var byName: [String: [Node]] = [:]
        for i in 0..<20_000 { byName["a name that needs a storage \\(i % 3000)", default: []].append(Node("its text, number \\(i)")) }
        for i in 0..<1000 { byName["a name that needs a storage \\(i)"] = nil }
        ready()
        _ = readLine()
        """

    @Test(arguments: [["-O"], ["-Onone", "-g"], ["-O", "-Xlinker", "-s"]]) func swiftPrograms(flags: [String]) throws {
        try check(
            try WatchedProgram(swift: Self.swift, flags: flags, isRecorded: true), "swiftc \(flags)", atLeast: 28_000)
    }

    @Test func aCProgram() throws {
        let program = try WatchedProgram(
            c: """
                int main(void) {
                    static void *kept[20000];
                    for (int i = 0; i < 60000; i++) {
                        int place = i * 7919 % 20000;
                        free(kept[place]);
                        kept[place] = i % 3 ? malloc(i % 3000) : calloc(1 + i % 7, i % 500);
                    }
                    puts("ready");
                    fflush(stdout);
                    return read(0, &kept[0], 1);
                }
                """)
        try check(program, "C", atLeast: 19_000)
    }

    /// A heap so much in pieces that none of its arena's bins is empty.
    @Test func noBinIsEmpty() throws {
        let program = try WatchedProgram(
            c: """
                #include <malloc.h>
                int main(void) {
                    static void *kept[127 * 16];
                    mallopt(M_MXFAST, 0);
                    mallopt(M_MMAP_THRESHOLD, 1 << 25);
                    int count = 0;
                    for (size_t size = 32; size < 20 << 20; size += size < 1024 ? 16 : size / 16 & ~15ul)
                        for (int i = 0; i < (size <= 1040 ? 8 : 1); i++) {
                            kept[count++] = malloc(size - 8);
                            malloc(2000);
                        }
                    while (count > 0) free(kept[--count]);
                    void *last = malloc(3000);
                    malloc(30 << 20);
                    free(last);
                    puts("ready");
                    fflush(stdout);
                    return read(0, &kept[0], 1);
                }
                """)
        try check(program, "bins", atLeast: 500)
    }

    @Test(.enabled(if: findProgram("rustc") != nil, "no rustc here")) func aRustProgram() throws {
        let program = try WatchedProgram(
            rust: """
                use std::collections::{BTreeMap, HashMap};
                fn main() {
                    let mut map: HashMap<String, Vec<Box<u64>>> = HashMap::new();
                    let mut tree = BTreeMap::new();
                    for i in 0..30000u64 {
                        map.entry(format!("key {}", i % 5000)).or_default().push(Box::new(i));
                        tree.insert(i * 7919 % 30011, format!("value {i}"));
                    }
                    for i in 0..2000 { map.remove(&format!("key {i}")); }
                    println!("ready");
                    std::io::stdin().read_line(&mut String::new()).unwrap();
                    println!("{} {}", map.len(), tree.len());
                }
                """, isRecorded: true)
        try check(program, "Rust", atLeast: 50_000)
    }

    @Test func realPrograms() throws {
        let python = """
            import json, collections
            kept = [json.loads('{"a": [1, 2, {"b": "c"}]}') for _ in range(3000)]
            names = collections.OrderedDict((str(i) * 5, [i] * (i % 50)) for i in range(2000))
            print("ready", flush=True)
            input()
            """
        let path = try #require(findProgram("python3.11", "python3"))
        try check(
            try WatchedProgram(
                command: [path, "-c", python], environment: ["PYTHONMALLOC": "malloc"], isRecorded: true),
            "python3", atLeast: 20_000)
        let sqlite = try #require(findProgram("sqlite3"), "sqlite3 is installed by Tests/run.sh")
        let database = try WatchedProgram(
            command: [sqlite, ":memory:"], isRecorded: true,
            first: """
                CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;
                .print ready
                """)
        try check(database, "sqlite3", atLeast: 300)
    }

    /// nginx says nothing when it is ready: its shell leaves somebody behind who asks until it answers.
    @Test func nginx() throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        let servers = (0..<300).map {
            "server { listen unix:\(folder.file("socket")); server_name name\($0).example; }"
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
            "\($0)_temp_path \(folder.file($0));"
        }
        let configuration = """
            daemon off; master_process off; pid \(folder.file("pid")); error_log \(folder.file("error"));
            events {}
            http { access_log off; server_names_hash_max_size 8192; \((temporary + servers).joined(separator: "\n")) }
            """
        write(Array(configuration.utf8), to: folder.file("configuration"))
        let client = """
            import socket, time
            def answer():
                asked = socket.socket(socket.AF_UNIX)
                asked.connect("\(folder.file("socket"))")
                asked.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                return b"".join(iter(lambda: asked.recv(4096), b""))
            for _ in range(600):
                try:
                    if answer().startswith(b"HTTP/1.1 "):
                        print("ready")
                        break
                except OSError:
                    time.sleep(0.1)
            """
        write(Array(client.utf8), to: folder.file("client.py"))
        let nginx = findProgram("nginx") ?? "/usr/sbin/nginx"
        let program = try WatchedProgram(
            command: [
                "/bin/sh", "-c",
                "LD_PRELOAD= python3 \(folder.file("client.py")) & exec \(nginx) -c \(folder.file("configuration"))",
            ], isRecorded: true)
        // It has inherited that SIGTERM is blocked.
        defer { kill(program.pid, SIGKILL) }
        try check(program, "nginx", atLeast: 2000)
    }

    /// Four threads that do nothing but allocate and free: no more is wrong than they have under way.
    @Test func whileFourThreadsHammer() throws {
        let program = try WatchedProgram(
            """
            static std::atomic<bool> isOn;
            static void hammer(unsigned state) {
                void *kept[512] = {};
                for (;; state = state * 1664525u + 1013904223u) {
                    void *&place = kept[state >> 16 & 511];
                    free(place);
                    place = malloc(state >> 7 & 2047);
                }
            }
            static void work() { for (unsigned i = 0; i < 4; i++) std::thread(hammer, i * 77 + 1).detach(); }
            """, isRecorded: true)
        var looks = 0
        for _ in 0..<400 where looks < 20 {
            kill(program.pid, SIGSTOP)
            defer { kill(program.pid, SIGCONT) }
            // A torn heap is said to be torn.
            guard let inventory = try? HeapSnapshotter.inventory(program.pid) else { continue }
            let truth = try recorded(in: program.folder, of: program)
            let found = Set(inventory.blocks.map(\.address))
            #expect(truth.subtracting(found).count <= 4)
            #expect(found.subtracting(truth).count <= 60 + 4)
            looks += 1
        }
        #expect(looks >= 10, "\(looks)")
    }

    /// Addresses of the live blocks in the ledger of what the program has become last.
    private func recorded(in folder: TemporaryFolder, of program: WatchedProgram) throws -> Set<UInt64> {
        let ledgers = LedgerFolder(path: folder.path).all()
        let path = try #require(ledgers.first { $0.contains("/\(program.pid)-") })
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
