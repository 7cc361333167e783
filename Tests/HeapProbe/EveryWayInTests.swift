import Foundation
import HeapLedger
import HeapProfile
import TestSupport
import Testing

/// Each allocation is counted once, whichever function made it.
@Suite struct EveryWayInTests {
    @Test func theWholeCFamily() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <malloc.h>
            #include <stdlib.h>
            void *volatile keep;
            int main(void) {
                keep = malloc(12301);
                keep = calloc(3, 4101);
                keep = realloc(NULL, 12305);
                keep = realloc(malloc(12307), 12309);
                keep = reallocarray(NULL, 3, 4103);
                void *p; if (posix_memalign(&p, 64, 12311)) return 1; keep = p;
                keep = aligned_alloc(64, 12352);
                keep = memalign(128, 12313);
                keep = valloc(12315);
                keep = pvalloc(12317);
                free(malloc(12319));
                free(NULL);
                return realloc(malloc(12321), ((size_t)1 << 62)) != NULL;
            }
            """)
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        for size in [12301, 12303, 12305, 12309, 12309, 12311, 12352, 12313, 12315, 12317, 12321] as [UInt64] {
            #expect(profile.blocks(ofSize: size).live == (size == 12309 ? 2 : 1), "size \(size)")
        }
        #expect(profile.blocks(ofSize: 12307).live == 0)
        #expect(profile.blocks(ofSize: 12319).live == 0)
        #expect(profile.process.exited)
    }

    /// Those that libc makes for its caller, and those that come straight from the kernel.
    @Test func throughLibcAndLarge() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <malloc.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            void *volatile keep;
            int main(void) {
                static char text[23457];
                memset(text, 'x', sizeof text - 1);
                keep = strdup(text);
                keep = strndup(text, 23400);
                char *line = NULL, *printed;
                size_t size = 0;
                FILE *file = fmemopen(text, sizeof text - 1, "r");
                if (getline(&line, &size, file) != 23456 || size < 23457) return 1;
                if (asprintf(&printed, "%034567d", 7) != 34567) return 2;
                unsigned char *page = pvalloc(12289);
                if ((size_t)page % 4096 || malloc_usable_size(page) < 16384) return 3;
                keep = page;
                for (int i = 0; i < 3; i++) keep = malloc(50000001);
                free(malloc(50000003));
                keep = realloc(malloc(50000005), 60000007);
                for (int round = 0; round < 20; round++) {
                    unsigned char *zeros = calloc(7, 10001);
                    for (int i = 0; i < 70007; i++) if (zeros[i]) return 4;
                    memset(zeros, 0xee, 70007);
                    free(zeros);
                }
                return 0;
            }
            """)
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        for size in [23457, 23401, 12289, 60_000_007] as [UInt64] {
            #expect(profile.blocks(ofSize: size).live == 1, "size \(size)")
        }
        #expect(profile.blocks(ofSize: 50_000_001).live == 3)
        for size in [50_000_003, 50_000_005, 70007] as [UInt64] { #expect(profile.blocks(ofSize: size).live == 0) }
        #expect(profile.samples.reduce(0) { $0 + ($1.size >= 23456 && $1.size < 60_000 ? 1 : 0) } >= 3)
    }

    /// Arrays that grow from nothing, element by element: what they hold in the end is what is live.
    @Test(arguments: ["1", "64KiB"]) func arraysThatGrow(interval: String) throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *arrays[500];
            int main(void) {
                for (int size = 16; size <= 65536; size *= 2)
                    for (int i = 0; i < 500; i++) if (!(arrays[i] = realloc(arrays[i], size))) return 1;
                for (int i = 0; i < 100; i++) free(arrays[i]);
                return 0;
            }
            """)
        #expect(try probed.run(interval: interval).status == 0)
        let profile = try #require(try probed.profiles().first)
        let live = profile.blocks(ofSize: 65536).live
        let samples = Double(profile.samples.count { $0.size == 65536 })
        #expect(abs(live / 400 - 1) <= (interval == "1" ? 0 : 4 / samples.squareRoot()))
        for size in [16, 1024, 32768] as [UInt64] { #expect(profile.blocks(ofSize: size).live == 0, "size \(size)") }
    }

    private static let operators = """
        #include <new>
        struct alignas(64) Wide { char text[6464]; };
        void *volatile keep;
        int main() {
            for (int i = 0; i < 10; i++) keep = ::operator new(7777);
            for (int i = 0; i < 10; i++) keep = new char[7779];
            for (int i = 0; i < 10; i++) keep = new (std::nothrow) char[7781];
            for (int i = 0; i < 10; i++) keep = new Wide;
            for (int i = 0; i < 10; i++) delete new Wide;
            for (int i = 0; i < 10; i++) ::operator delete(::operator new(7783), (std::size_t)7783);
            for (int i = 0; i < 10; i++) delete[] new (std::nothrow) char[7785];
        }
        """

    @Test(arguments: ["libc", "libjemalloc.so.2", "libtcmalloc_minimal.so.4"])
    func cxxOperatorsAreCountedOnce(allocator: String) throws {
        let path = "/usr/lib/x86_64-linux-gnu/\(allocator)"
        let probed = try Probed(Self.operators, as: "operators.cpp", flags: allocator == "libc" ? [] : [path])
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        for size in [7777, 7779, 7781, 6464] as [UInt64] {
            #expect(profile.blocks(ofSize: size).live == 10, "size \(size)")
        }
        for size in [7783, 7785] as [UInt64] { #expect(profile.blocks(ofSize: size).live == 0, "size \(size)") }
    }

    @Test func samplingIsUnbiased() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *volatile keep;
            int main(void) { for (int i = 0; i < 200000; i++) { keep = malloc(333); free(malloc(100)); } }
            """)
        #expect(try probed.run(interval: "16KiB").status == 0)
        let profile = try #require(try probed.profiles().first)
        let live = profile.blocks(ofSize: 333).live
        // Of samples of different intervals, since all of it takes ten milliseconds.
        let variance = profile.samples.reduce(0) { $0 + ($1.size == 333 ? Double($1.weight * $1.weight) : 0) }
        #expect(abs(live - 200_000) < 4 * variance.squareRoot())
    }
}
