import HeapProfile
import TestSupport
import Testing

/// C programs that load C++ while they run: the library's operators are bound to the probe's, which has to find out whose
/// they stand for.
@Suite struct LateRuntimeTests {
    private static let work = """
        int *volatile keep;
        extern "C" void work(int n) { for (int i = 0; i < n; i++) { keep = new int(i); delete keep; } }
        """

    /// A program whose `main` is `body`, with libraries of these names, sources and flags beside it.
    private func program(
        _ body: String, libraries: [(name: String, source: String, flags: [String])]
    ) throws -> Probed {
        let probed = try Probed(
            """
            #include <dlfcn.h>
            #include <pthread.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <sys/mman.h>
            static void *open_one(const char *path, int mode) {
                void *library = dlopen(path, mode);
                if (!library) { puts(dlerror()); exit(3); }
                return library;
            }
            static volatile int is_over;
            static void *load(void *no) {
                while (!is_over) dlclose(open_one("./libother.so", RTLD_NOW));
                return no;
            }
            int main(void) {
                \(body)
                puts("fine");
                return 0;
            }
            """, flags: ["-pthread", "-Wl,-z,now"])
        for library in libraries {
            _ = try compile(
                library.source, as: "\(library.name).so.cpp", flags: ["-shared", "-fPIC"] + library.flags,
                in: probed.folder)
        }
        return probed
    }

    /// Whoever loads holds one of the loader's locks and waits for the other.
    @Test(arguments: [["-static-libstdc++"], []])
    func anotherThreadMayLoadMeanwhile(flags: [String]) throws {
        let probed = try program(
            """
            void (*work)(int) = dlsym(open_one("./libwork.so", RTLD_NOW), "work");
            pthread_t other;
            pthread_create(&other, NULL, load, NULL);
            for (int i = 0; i < 500; i++) work(1000);
            is_over = 1;
            pthread_join(other, NULL);
            """, libraries: [("libwork", Self.work, flags), ("libother", "int other;", [])])
        #expect(try probed.run(interval: "1MiB").output == "fine\n")
    }

    /// What stands where it was is another's, or nobody's.
    @Test func aLibraryWithOperatorsMayBeUnloaded() throws {
        let operators = """
            #include <cstddef>
            #include <cstdlib>
            void *operator new(std::size_t size) { return std::malloc(size); }
            void operator delete(void *block) noexcept { std::free(block); }
            void operator delete(void *block, std::size_t) noexcept { std::free(block); }

            """
        let flags = ["-nostdlib", "-lc", "-fno-exceptions"]
        let probed = try program(
            """
            for (int i = 0; i < 2; i++) {
                void *library = open_one(i ? "./libsecond.so" : "./libfirst.so", RTLD_NOW | RTLD_GLOBAL);
                ((void (*)(int))dlsym(library, "work"))(1000);
                if (!i) dlclose(library);
                for (int n = 0; n < 8; n++) mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            }
            """,
            libraries: [("libfirst", operators + Self.work, flags), ("libsecond", operators + Self.work, flags)])
        #expect(try probed.run().output == "fine\n")
    }

    /// A block that came from malloc before the pool was there is none of the pool's.
    @Test func blocksGoBackToWhereTheyCameFrom() throws {
        let pool = """
            #include <cstddef>
            static char pool[1 << 20];
            static std::size_t used;
            static int strangers;
            static void take_back(void *block) { strangers += (char *)block < pool || (char *)block >= pool + sizeof pool; }
            void *operator new(std::size_t size) { return used += (size + 15) & ~15ul, pool + used - 16; }
            void operator delete(void *block) noexcept { take_back(block); }
            void operator delete(void *block, std::size_t) noexcept { take_back(block); }
            int *volatile kept[1000];
            extern "C" int use_pool(void) {
                for (int i = 0; i < 1000; i++) kept[i] = new int(i);
                for (int i = 0; i < 1000; i++) delete kept[i];
                return strangers;
            }
            """
        let probed = try program(
            """
            ((void (*)(int))dlsym(open_one("./libwork.so", RTLD_NOW), "work"))(3);
            int (*use_pool)(void) = dlsym(open_one("./libpool.so", RTLD_NOW | RTLD_GLOBAL), "use_pool");
            if (use_pool() != 0) return 4;
            """,
            libraries: [
                ("libwork", Self.work, ["-static-libstdc++"]),
                ("libpool", pool, ["-nostdlib", "-lc", "-fno-exceptions"]),
            ])
        #expect(try probed.run().output == "fine\n")
    }

    /// Once a runtime is there its operators are called, at the latest where there is no memory, and throw.
    @Test(arguments: [["-static-libstdc++"], []])
    func theRuntimeThatComesLateThrows(flags: [String]) throws {
        let throwing = """
            #include <new>
            void *volatile keep;
            static const std::size_t size = 1ul << 60;
            static const std::align_val_t alignment{64};
            template <typename F> static int throws(F allocate) {
                try { keep = allocate(); } catch (const std::bad_alloc &) { return 1; }
                return 0;
            }
            extern "C" int throwing_forms(void) {
                for (int i = 0; i < 1000; i++) { char *block = new char[100]; keep = block; delete[] block; }
                return throws([] { return ::operator new(size); }) + throws([] { return ::operator new[](size); })
                    + throws([] { return ::operator new(size, alignment); })
                    + throws([] { return ::operator new[](size, alignment); });
            }
            """
        let probed = try program(
            """
            if (((int (*)(void))dlsym(open_one("./libthrows.so", RTLD_NOW), "throwing_forms"))() != 4) return 4;
            """, libraries: [("libthrows", throwing, flags)])
        #expect(try probed.run().output == "fine\n")
    }
}
