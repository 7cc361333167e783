import HeapProfile
import TestSupport
import Testing

/// Programs whose allocator is not libc's: linked, preloaded before and after the probe, or their own.
@Suite struct AllocatorsTests {
    private static let libraries = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"]

    private static func path(_ library: String) -> String { "/usr/lib/x86_64-linux-gnu/\(library)" }

    /// Each way in, with sizes of its own; whatever is wrong with a block is printed.
    private static let everything = """
        #include <cstdint>
        #include <cstdio>
        #include <cstdlib>
        #include <cstring>
        #include <dlfcn.h>
        #include <malloc.h>
        #include <new>
        struct alignas(64) Wide { char text[6464]; };
        void *volatile keep;
        static void aligned(void *block, unsigned alignment) {
            if ((uintptr_t)block % alignment) std::printf("not aligned to %u\\n", alignment);
        }
        static void zeros() {
            for (int round = 0; round < 20; round++) {
                auto block = (unsigned char *)std::calloc(7, 10001);
                for (int i = 0; i < 70007; i++) if (block[i]) { std::puts("not zero"); break; }
                std::memset(block, 0xee, 70007);
                std::free(block);
            }
        }
        int main() {
            zeros();
            if (malloc_usable_size(keep = std::malloc(12301)) < 12301) std::puts("usable size");
            keep = std::calloc(3, 4101);
            keep = reallocarray(reallocarray(nullptr, 3, 4105), 3, 4103);
            void *block = nullptr;
            if (posix_memalign(&block, 64, 12311)) return 1;
            aligned(keep = block, 64);
            aligned(keep = aligned_alloc(256, 12544), 256);
            aligned(keep = memalign(4096, 12313), 4096);
            aligned(keep = valloc(12315), 4096);
            keep = std::malloc(40000001);
            std::free(std::malloc(40000003));
            keep = std::realloc(std::malloc(40000005), 50000007);
            char text[23457] = {};
            std::memset(text, 'x', sizeof text - 1);
            keep = strdup(text);
            keep = ::operator new(7777);
            keep = new char[7779];
            aligned(keep = new Wide, 64);
            delete new Wide;
            ::operator delete(::operator new(7783), (std::size_t)7783);
            auto freeSized = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
            auto freeAligned = (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
            if (freeSized) freeSized(std::malloc(12331), 12331);
            if (freeAligned) freeAligned(aligned_alloc(64, 12352), 64, 12352);
            if (std::realloc(block = std::malloc(12341), (size_t)1 << 62)) std::puts("too much");
            keep = block;
            std::puts("done");
        }
        """

    private static let live: [UInt64] = [
        12301, 12303, 12309, 12311, 12544, 12313, 12315, 40_000_001, 50_000_007, 23457, 7777, 7779, 6464, 12341,
    ]
    private static let gone: [UInt64] = [36945, 40_000_003, 40_000_005, 7783, 12331, 12352]

    private static func checkAll(_ probed: Probed) throws {
        let profile = try #require(try probed.profiles().first)
        for size in live { #expect(profile.blocks(ofSize: size).live == 1, "size \(size)") }
        for size in gone { #expect(profile.blocks(ofSize: size).live == 0, "size \(size)") }
    }

    @Test(arguments: libraries) func linkedWithTheProgram(library: String) throws {
        let probed = try Probed(
            Self.everything, as: "program.cpp", flags: ["-Wl,--no-as-needed", Self.path(library)])
        let result = try probed.run()
        #expect(result.output == "done\n" && result.status == 0, "\(result.errors)")
        try Self.checkAll(probed)
    }

    @Test(arguments: libraries) func preloadedAfterTheProbe(library: String) throws {
        let probed = try Probed(Self.everything, as: "program.cpp")
        let result = try probed.run(preloadAfter: Self.path(library))
        #expect(result.output == "done\n" && result.status == 0, "\(result.errors)")
        try Self.checkAll(probed)
    }

    /// The probe then sees next to nothing; no block of the one may reach the other.
    @Test(arguments: libraries) func preloadedBeforeTheProbe(library: String) throws {
        let probed = try Probed(Self.everything, as: "program.cpp")
        let result = try probed.run(environment: ["LD_PRELOAD": Self.path(library)])
        #expect(result.output == "done\n" && result.status == 0, "\(result.errors)")
    }

    /// libc has no free_sized yet; with the probe there is one.
    @Test func sizedFree() throws {
        let probed = try Probed(Self.everything, as: "program.cpp")
        #expect(try probed.run().output == "done\n")
        let profile = try #require(try probed.profiles().first)
        let sites = profile.sites.filter { $0.freed.count > 0 }
        #expect(sites.contains { $0.freed.bytes == 12331 } && sites.contains { $0.freed.bytes == 12352 })
        try Self.checkAll(probed)
    }

    /// Part of the family is the program's, the rest comes from libraries, the probe's among them.
    @Test func aMallocInTheProgramItself() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            static char pool[1 << 20];
            static size_t used;
            static int is_ours(void *block) { return (char *)block >= pool && (char *)block < pool + sizeof pool; }
            void *malloc(size_t size) {
                used = (used + 31) & ~(size_t)15;
                *(size_t *)(pool + used) = size;
                used += 16 + size;
                return pool + used - size;
            }
            void free(void *block) { if (block && !is_ours(block)) abort(); }
            void *calloc(size_t n, size_t size) { return malloc(n * size); }
            void *realloc(void *block, size_t size) {
                if (block && !is_ours(block)) abort();
                void *moved = malloc(size);
                return block ? memcpy(moved, block, ((size_t *)block)[-2] < size ? ((size_t *)block)[-2] : size) : moved;
            }
            int main(void) {
                char *text = reallocarray(strcpy(malloc(10), "unharmed"), 3, 10);
                puts(text);
                free(text);
                return is_ours(text) ? 0 : 1;
            }
            """, flags: ["-fno-builtin"])
        let result = try probed.run()
        #expect(result.output == "unharmed\n" && result.status == 0)
    }

    @Test func anOperatorNewOverMalloc() throws {
        let probed = try Probed(
            """
            #include <cstdio>
            #include <cstdlib>
            #include <new>
            static int news, deletes;
            void *volatile keep;
            void *operator new(std::size_t size) { news++; return std::malloc(size); }
            void operator delete(void *block) noexcept { deletes++; std::free(block); }
            int main() {
                news = deletes = 0;
                for (int i = 0; i < 10; i++) keep = ::operator new(7811);
                for (int i = 0; i < 10; i++) keep = new char[7813];
                for (int i = 0; i < 10; i++) delete[] new char[7815];
                std::printf("%d %d\\n", news, deletes);
            }
            """, as: "program.cpp", flags: ["-Wno-sized-deallocation"])
        #expect(try probed.run().output == "30 10\n")
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 7811).live == 10)
        #expect(profile.blocks(ofSize: 7813).live == 10)
        #expect(profile.blocks(ofSize: 7815).live == 0)
    }

    /// Its pool is not there before its constructors have run, and it counts each call.
    @Test func anOperatorNewOverItsOwnPool() throws {
        let probed = try Probed(
            """
            #include <cstdio>
            #include <new>
            #include <sys/mman.h>
            static int calls;
            static char *pool;
            __attribute__((constructor)) static void openPool() {
                pool = (char *)mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            }
            void *operator new(std::size_t size) {
                char *block = pool + 65536 * calls++;
                block[size - 1] = 1;
                return block;
            }
            void operator delete(void *) noexcept {}
            void operator delete(void *, std::size_t) noexcept {}
            int main() {
                delete[] new char[7821];
                delete new long;
                std::printf("%d\\n", calls);
            }
            """, as: "program.cpp")
        let result = try probed.run()
        #expect(result.output == "2\n" && result.status == 0 && !result.wasSignalled)
    }

    /// A tool that wraps dlsym stands between the probe and the allocator that it looks for, and may allocate itself.
    @Test func aDlsymOfItsOwn() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            void *volatile keep;
            void *dlsym(void *handle, const char *name) {
                static int calls;
                size_t sizes[] = {100, 65530, 40000, 40000};
                if (calls < 4) {
                    void *block = malloc(sizes[calls++]); /* none is as good as one */
                    if (block) memset(block, 0xee, sizes[calls - 1]);
                    free(block);
                }
                void *(*real)(void *, const char *) = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
                void *volatile result = real(handle, name); /* no tail call: dlsym has to see this caller */
                return result;
            }
            int main(void) { keep = malloc(7831); puts("unharmed"); return 0; }
            """, flags: ["-rdynamic"])
        let result = try probed.run()
        #expect(result.output == "unharmed\n" && result.status == 0 && !result.wasSignalled)
        #expect(try probed.profiles().first?.blocks(ofSize: 7831).live == 1)
    }

    /// The library's operators are bound to the probe's, and the runtime they came from stands in no scope.
    @Test func aLibraryWithACxxRuntimeOfItsOwn() throws {
        let probed = try Probed(
            """
            #include <dlfcn.h>
            #include <stdio.h>
            int main(void) {
                void (*work)(int) = dlsym(dlopen("./libown.so", RTLD_NOW), "work");
                work(30000);
                return 0;
            }
            """)
        _ = try compile(
            """
            char *volatile keep;
            extern "C" void work(int n) {
                for (int i = 0; i < n; i++) { keep = new char[100]; delete[] keep; }
                for (int i = 0; i < 10; i++) keep = new char[7841];
            }
            """, as: "libown.so.cpp", flags: ["-shared", "-fPIC", "-static-libstdc++"], in: probed.folder)
        // Looking for a runtime with each block took it more than this CPU time, in seconds.
        let result = try probed.run(interval: "1MiB", shell: "ulimit -t 20")
        #expect(result.status == 0 && !result.wasSignalled)
        #expect(try probed.run().status == 0)
        #expect(try probed.profiles().last?.blocks(ofSize: 7841).live == 10)
    }

    /// Its locks may be held by another thread when the program forks, and its calls are the program's.
    @Test func aLibunwindThatTheProgramUsesIsLeftAlone() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            int main(void) {
                char *volatile keep;
                for (int i = 0; i < 10; i++) keep = malloc(7841);
            }
            """, flags: ["-Wl,--no-as-needed", "-l:libunwind-x86_64.so.8"])
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().last)
        #expect(!profile.sampling.hasUnwinder && profile.blocks(ofSize: 7841).live == 10)
    }

    /// libunwind calls itself, whatever of its names the program defines; also where there is no table for the code.
    @Test func libunwindsNamesMayBeTheProgramsAsWell() throws {
        let probed = try Probed(
            """
            #include <stdio.h>
            #include <stdlib.h>
            int _Ux86_64_is_signal_frame(void *cursor) { abort(); }
            int _Ux86_64_get_reg(void *cursor, int number, void *value) { abort(); }
            __asm__(".text; bare: sub $24, %rsp; mov $7841, %edi; call malloc; add $24, %rsp; ret");
            void *bare(void);
            int main(void) {
                for (int i = 0; i < 10; i++) bare();
                puts("fine");
            }
            """, flags: ["-rdynamic"])
        #expect(try probed.run().output == "fine\n")
        let profile = try #require(try probed.profiles().last)
        #expect(profile.sampling.hasUnwinder && profile.blocks(ofSize: 7841).live == 10)
    }

    /// What a look-up of the probe's could not find is no error of the program's.
    @Test func noErrorOfTheLoaderIsLeftBehind() throws {
        let probed = try Probed(
            "#include <dlfcn.h>\n#include <stdio.h>\n"
                + "int main(void) { char *error = dlerror(); puts(error ? error : \"none\"); }")
        write(Array(repeating: 0, count: 4096), to: probed.folder.file("libunwind-x86_64.so.8"))
        #expect(try probed.run(environment: ["LD_LIBRARY_PATH": probed.folder.path]).output == "none\n")
    }
}
