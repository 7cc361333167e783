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
        return try HeapSnapshotter.survey(program.pid, freeze: freeze, symbols: symbolicator.variables).demangled()
    }

    @Test func theProcessIsNoneTheWiser() throws {
        let program = try WatchedProgram(Self.busy)
        for freeze in [Freeze.fork, .fork, .stop, .fork, .fork] {
            let table = try #require(try survey(program, freeze).roots.first { $0.name == "table" })
            #expect(table.retainedCount == 3000 && table.container?.count == 3000)
        }
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
