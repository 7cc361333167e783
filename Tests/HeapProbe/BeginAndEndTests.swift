import HeapProfile
import TestSupport
import Testing

/// Allocations before main and after exit, and from code that is gone by now.
@Suite struct BeginAndEndTests {
    @Test func beforeMainAndAfterExit() throws {
        let probed = try Probed(
            """
            #include <cstdlib>
            #include <unistd.h>
            void *volatile keep;
            static void atExit() { keep = std::malloc(6101); std::free(std::malloc(6103)); }
            extern "C" void early(int, char **, char **) { keep = std::malloc(6105); }
            __attribute__((section(".preinit_array"), used)) void (*const preinit)(int, char **, char **) = early;
            static int plain() { return 7; }
            extern "C" { __attribute__((used)) int (*choose())() { std::free(std::malloc(6107)); return plain; } }
            int chosen() __attribute__((ifunc("choose")));
            __attribute__((constructor)) static void first() { keep = std::malloc(6109); }
            __attribute__((destructor)) static void last() { keep = std::malloc(6111); }
            struct Local { ~Local() { keep = std::malloc(6113); } int used = 0; };
            static thread_local Local local;
            struct Static { Static() { keep = std::malloc(6115); } ~Static() { keep = std::malloc(6117); } } object;
            int main() {
                std::atexit(atExit);
                local.used++;
                keep = std::malloc(6119);
                return chosen();
            }
            """, as: "program.cpp")
        let result = try probed.run()
        #expect(result.status == 7 && !result.wasSignalled)
        let profile = try #require(try probed.profiles().first)
        for size in [6101, 6109, 6111, 6113, 6115, 6117, 6119] as [UInt64] {
            #expect(profile.blocks(ofSize: size).live == 1, "size \(size)")
        }
        #expect(profile.process.exited)
    }

    /// A library that comes after the probe in the order of destructors, and quick ways out.
    @Test(arguments: ["exit(5)", "quick_exit(5)", "_exit(5)", "abort()", "raise(SIGKILL)", "pthread_exit(0)"])
    func everyWayOut(call: String) throws {
        let probed = try Probed(
            """
            #include <pthread.h>
            #include <signal.h>
            #include <stdlib.h>
            #include <unistd.h>
            void *volatile keep;
            static void *work(void *unused) { keep = malloc(6121); return NULL; }
            int main(void) {
                pthread_t thread;
                pthread_create(&thread, NULL, work, NULL);
                pthread_join(thread, NULL);
                \(call);
            }
            """, flags: ["-pthread"])
        let result = try probed.run(shell: "ulimit -c 0")
        let expected: Int32 = call.hasPrefix("abort") ? 6 : call.hasPrefix("raise") ? 9 : call.contains("5") ? 5 : 0
        #expect(result.status == expected && result.errors.isEmpty)
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 6121).live == 1)
        #expect(profile.process.exited == (call == "exit(5)" || call == "pthread_exit(0)"))
    }

    private static func library(_ name: String, _ body: String) -> String {
        "#include <stdlib.h>\nvoid *\(name)(void) { \(body) }\nvoid *entry(void) { void *p = \(name)(); return p ? p : p; }"
    }

    private func libraries(_ main: String) throws -> HeapProfile {
        let probed = try Probed(
            """
            #include <dlfcn.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <unistd.h>
            void *blocks[400];
            static void *last;
            static int moved;
            static void *take(const char *name) {
                void *library = dlopen(name, RTLD_NOW);
                void *(*entry)(void) = (void *(*)(void))dlsym(library, "entry");
                moved |= last && last != (void *)entry;
                last = (void *)entry;
                void *block = entry();
                dlclose(library);
                return block;
            }
            int main(void) { \(main) puts(moved ? "other place" : "same place"); return 0; }
            """)
        for (name, size) in [("one", 6131), ("other", 6133), ("third", 6135)] {
            _ = try compile(
                Self.library("allocate_\(name)", "return malloc(\(size));"), as: "lib\(name).so.c",
                flags: ["-shared", "-fPIC", "-O0"], in: probed.folder)
        }
        let result = try probed.run()
        #expect(result.output == "same place\n" && result.status == 0)
        return try #require(try probed.profiles().first)
    }

    /// The callers are unloaded while their blocks live on, and other code comes to stand at the same addresses. Each block
    /// is its own library's, also when one comes back after another, and a third one after that.
    @Test func librariesThatTakeEachOthersPlace() throws {
        let profile = try libraries(
            """
            static const int order[] = {0, 1, 0, 1, 2, 0, 2, 1, 1, 0};
            static const char *const names[] = {"./libone.so", "./libother.so", "./libthird.so"};
            for (int i = 0; i < 400; i++) blocks[i] = take(names[order[i % 10]]);
            for (int i = 0; i < 100; i++) free(blocks[i]);
            """)
        for (size, name, count) in [(6131, "libone", 120), (6133, "libother", 120), (6135, "libthird", 60)] {
            let samples = profile.samples.filter { $0.size == UInt64(size) }
            #expect(samples.count == count)
            for sample in samples {
                let module = profile.sites[Int(sample.site)].stack.first?.module
                let path = module.map { profile.modules[Int($0)].path } ?? ""
                #expect(path.hasPrefix("/") && path.hasSuffix("/\(name).so"), "\(path)")
            }
        }
    }
}
