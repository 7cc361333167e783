import Glibc
import HeapProfile
import RemoteProcess
import Symbolication
import TestSupport
import Testing

@testable import HeapWalk

/// A process is copied while it works, and is none the wiser: no signal, no child, no mapping is left.
@Suite struct ForkedCopyTests {
    /// Threads that compute, sleep, wait for one another and allocate. At its end the program looks what became of it.
    private static let busy = """
        #include <sys/wait.h>
        #include <signal.h>
        #include <cerrno>
        #include <mutex>
        static std::map<int, int> table;
        static std::atomic<long> signals, wrong, rounds;
        static long mappings() {
            long lines = 0;
            FILE *maps = fopen("/proc/self/maps", "r");
            for (int c; (c = fgetc(maps)) != EOF;) lines += c == '\\n';
            fclose(maps);
            return lines;
        }
        static void compute() {
            double x[16];
            for (;;) {
                for (int i = 0; i < 16; i++) x[i] = i + 0.5;
                for (int n = 0; n < 100000; n++) for (int i = 0; i < 16; i++) x[i] = x[i] * 1.25 - x[i] / 4;
                for (int i = 0; i < 16; i++) wrong += x[i] != i + 0.5;
                rounds++;
            }
        }
        static void sleepy() {
            for (;;) {
                struct timespec time = {0, 3000000};
                wrong += clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr) != 0;
                rounds++;
            }
        }
        static void allocating() { for (;;) { void *volatile p = malloc(rand() % 5000); free(p); rounds++; } }
        static void look() {
            errno = 0;
            bool hasChild = waitpid(-1, nullptr, WNOHANG | __WALL) >= 0 || errno != ECHILD;
            if (signals || wrong || hasChild) _exit(3);
        }
        static void work() {
            signal(SIGCHLD, [](int) { signals++; });
            for (int i = 0; i < 3000; i++) table[i] = i;
            for (auto body : {compute, sleepy, allocating}) std::thread(body).detach();
            atexit(look);
        }
        """

    private func survey(_ program: WatchedProgram, _ freeze: Freeze) throws -> HeapSurvey {
        let symbolicator = Symbolicator()
        return try HeapSnapshotter.survey(
            program.pid, freeze: freeze, copyRoom: 1 << 30, symbols: symbolicator.variables
        ).demangled()
    }

    @Test func theProcessIsNoneTheWiser() throws {
        let program = try WatchedProgram(Self.busy)
        for freeze in [Freeze.fork, .copy, .stop, .copy, .fork] {
            let table = try #require(try survey(program, freeze).roots.first { $0.name == "table" })
            #expect(table.retainedCount == 3000 && table.container?.count == 3000)
        }
        #expect(program.end() == 0)
    }

    /// What the program does meanwhile is not in it, pages that nobody touched cost nothing, and a limit is kept.
    @Test func aCopyStaysAsItWas() throws {
        let program = try WatchedProgram(
            """
            #include <sys/mman.h>
            static volatile long *room;
            static void work() {
                // Between two pages of nobody's, so that no neighbour is joined with it.
                char *all = (char *)mmap(nullptr, (1 << 30) + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                room = (long *)(all + 4096);
                mprotect((void *)room, 1 << 30, PROT_READ | PROT_WRITE);
                for (int i = 0; i < 1000; i++) room[i * 1024] = i + 1;
            }
            void command(char) { for (int i = 0; i < 100000; i++) room[i] = 7; }
            """)
        let memory = RemoteMemory(pid: program.pid)
        let map = try #require(MemoryMap(of: program.pid))
        let room = try #require(map.mappings.first { $0.end - $0.start == 1 << 30 }).start
        #expect(MemoryCopy(of: memory, map, most: 1 << 20) == nil)
        guard let kept = MemoryCopy(of: memory, map, most: 64 << 20) else {
            Issue.record("it cannot be copied")
            return
        }
        let copy = RemoteMemory(pid: program.pid, kept: kept)
        try program.say("x")
        for i in 0..<1000 as Range<UInt64> {
            #expect(copy.word(room + i * 8192) == i + 1 && memory.word(room + i * 8192) == (i < 98 ? 7 : i + 1))
        }
        #expect(copy.word(room + 8) == 0 && memory.word(room + 8) == 7)
        #expect(copy.read(room + 4096, 8192)?.count == 8192 && copy.word(room + 512 << 20) == 0)
        // A page of a file's that was written to, behind one that was not, is as it was.
        let data = try #require(map.mappings.first { $0.isFile && $0.isWritable && $0.path.hasSuffix("program") })
        #expect(try #require(copy.read(data.start - 4096, 8192)).count == 8192)
        // Code is read where it is.
        let code = try #require(map.images.first).start
        #expect(copy.read(code, 4096) == memory.read(code, 4096) && copy.word(8) == nil)
        #expect(program.end() == 0)
    }

    @Test func theCopyIsNoChildAndGoes() throws {
        let program = try WatchedProgram(Self.busy)
        let map = try #require(MemoryMap(of: program.pid))
        let heap = try #require(map.mappings.first { $0.path == "[heap]" })
        let pid = try {
            let stopped = try StoppedProcess(program.pid)
            let copy = try #require(ForkedCopy(of: stopped, RemoteMemory(pid: program.pid), map, insists: true))
            stopped.letGo()
            let parent = try #require(statusFields("/proc/\(copy.pid)/status")?["PPid"])
            #expect(parent != "\(program.pid)")
            #expect(RemoteMemory(pid: copy.pid).read(heap.start, 4096)?.count == 4096)
            return copy.pid
        }()
        #expect(statusFields("/proc/\(pid)/status")?["State"]?.first ?? "Z" == "Z")
        #expect(program.end() == 0)
    }

    /// Whoever takes the snapshot may be killed at any moment.
    @Test func killedHalfWay() throws {
        let program = try WatchedProgram(Self.busy)
        let path = program.folder.file("a.heaptide")
        for round in 0..<40 {
            let status = try run(
                "/bin/sh",
                [
                    "-c",
                    "\"$0\" snapshot \(program.pid) --heap --freeze fork --output \(path) & sleep 0.0\(round); kill -9 $!; wait $!",
                    Products.heaptide,
                ])
            #expect(status.status == 137 || status.status == 0)
        }
        #expect(program.end() == 0)
    }
}
