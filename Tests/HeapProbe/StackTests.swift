import Foundation
import HeapLedger
import HeapProfile
import TestSupport
import Testing

/// Stacks against those that libgcc's unwinder finds at the same place.
@Suite struct StackTests {
    /// Prints for each block its size and the return addresses from the function that took it outwards.
    private static let program = """
        #include <alloca.h>
        #include <csignal>
        #include <cstdio>
        #include <cstdlib>
        #include <cstring>
        #include <execinfo.h>
        #include <pthread.h>
        #include <ucontext.h>

        static void *volatile keep;
        __attribute__((noinline)) static void take(int size) {
            void *frames[200];
            keep = malloc(size);
            int depth = backtrace(frames, 200);
            printf("%d", size);
            for (int i = 1; i < depth; i++) printf(" %p", frames[i]);
            printf("\\n");
        }
        __attribute__((noinline)) static int deep(int n, int size) {
            if (n == 0) take(size); else deep(n - 1, size);
            asm volatile("");
            return n;
        }
        static int compare(const void *a, const void *b) {
            static int once;
            if (!once++) take(6003);
            return *(const int *)a - *(const int *)b;
        }
        static void handler(int) { take(6005); }
        struct alignas(128) Wide { char text[128]; };
        __attribute__((noinline)) static void realigned(int n) {
            volatile Wide wide;
            char *more = (char *)alloca(n);
            memset(more, 1, n);
            wide.text[0] = more[0];
            take(6007);
            wide.text[1] = more[n - 1];
        }
        static void *thread(void *) { deep(3, 6009); return nullptr; }
        static ucontext_t back, other;
        static void coroutine() { deep(2, 6011); }

        int main() {
            void *warm[1];
            backtrace(warm, 1);
            deep(2, 6001);
            deep(90, 6002);
            int numbers[100] = {3, 2, 1};
            qsort(numbers, 100, sizeof *numbers, compare);
            signal(SIGUSR1, handler);
            raise(SIGUSR1);
            static char stack[64 << 10];
            stack_t alternate = {stack, 0, sizeof stack};
            sigaltstack(&alternate, nullptr);
            struct sigaction action = {};
            action.sa_handler = [](int) { take(6013); };
            action.sa_flags = SA_ONSTACK;
            sigaction(SIGUSR2, &action, nullptr);
            raise(SIGUSR2);
            realigned(1000);
            pthread_t t;
            pthread_create(&t, nullptr, thread, nullptr);
            pthread_join(t, nullptr);
            static char own[64 << 10];
            getcontext(&other);
            other.uc_stack.ss_sp = own;
            other.uc_stack.ss_size = sizeof own;
            other.uc_link = &back;
            makecontext(&other, coroutine, 0);
            swapcontext(&back, &other);
        }
        """

    /// The last is a program with holes between its segments.
    @Test(arguments: [
        "-O2 -fomit-frame-pointer", "-O2 -fno-omit-frame-pointer", "-O0", "-O3 -mavx2",
        "-O2 -fomit-frame-pointer -Wl,-z,max-page-size=0x200000 -Wl,-z,separate-code",
    ])
    func asLibgccFindsThem(flags: String) throws {
        let probed = try Probed(
            Self.program, as: "stacks.cpp", flags: flags.split(separator: " ").map(String.init) + ["-pthread"])
        let result = try probed.run()
        #expect(result.status == 0)
        let profile = try #require(try probed.profiles().first)
        let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.count == 8)
        for line in lines {
            let size = UInt64(line[0]) ?? 0
            let expected = line.dropFirst().compactMap { UInt64($0.dropFirst(2), radix: 16) }
            let site = try #require(profile.samples.first { $0.size == size }.map { profile.sites[Int($0.site)] })
            #expect(site.addresses(in: profile).dropFirst() == expected[...], "size \(size)")
            #expect(!site.isCut)
        }
    }

    /// Stacks that share outer frames with the one before, or seem to: functions of equal frames take one another's place,
    /// and some have frames of changing size. What the last walk found must not be taken for this one's.
    @Test(arguments: ["-O2 -fomit-frame-pointer", "-O2 -fno-omit-frame-pointer", "-O0"])
    func manyWaysToOnePlace(flags: String) throws {
        let probed = try Probed(
            """
            #include <alloca.h>
            #include <cstdio>
            #include <cstdlib>
            #include <cstring>
            #include <execinfo.h>
            static void *volatile keep;
            static unsigned long state = 88172645463325252;
            static unsigned draw(unsigned below) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                return state % below;
            }
            static int taken;
            __attribute__((noinline)) static void take() {
                void *frames[200];
                int size = 7000 + taken++;
                keep = malloc(size);
                int depth = backtrace(frames, 200);
                printf("%d", size);
                for (int i = 1; i < depth; i++) printf(" %p", frames[i]);
                printf("\\n");
            }
            using Node = int (*)(int);
            extern Node nodes[8];
            template <int I> __attribute__((noinline)) int node(int depth) {
                volatile char room[16 + 16 * (I % 2)];
                room[0] = 1;
                if (I % 4 == 3) {
                    char *more = (char *)alloca(16 + 16 * draw(3));
                    memset(more, 1, 16);
                    room[0] = more[0];
                }
                if (depth == 0) take();
                else do nodes[draw(8)](depth - 1); while (draw(4) == 0);
                return room[0];
            }
            Node nodes[8] = {node<0>, node<1>, node<2>, node<3>, node<4>, node<5>, node<6>, node<7>};
            int main() {
                void *warm[1];
                backtrace(warm, 1);
                while (taken < 3000) nodes[draw(8)](12);
            }
            """, as: "ways.cpp", flags: flags.split(separator: " ").map(String.init))
        let result = try probed.run()
        #expect(result.status == 0)
        let profile = try #require(try probed.profiles().first)
        let sites = Dictionary(
            profile.samples.map { ($0.size, profile.sites[Int($0.site)]) }, uniquingKeysWith: { first, _ in first })
        let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.count >= 3000)
        for line in lines {
            let size = UInt64(line[0]) ?? 0
            let expected = line.dropFirst().compactMap { UInt64($0.dropFirst(2), radix: 16) }
            let site = try #require(sites[size])
            #expect(site.addresses(in: profile).dropFirst() == expected[...], "size \(size)")
        }
    }

    /// Code without unwind tables: by frame pointers, where it keeps them; where it does not, the stack is said to be cut.
    @Test(arguments: [("-fno-omit-frame-pointer", false), ("-fomit-frame-pointer", true)])
    func codeWithoutTables(frames: String, isCut: Bool) throws {
        let probed = try Probed(
            """
            #include <dlfcn.h>
            #include <stdlib.h>
            void *volatile keep;
            static int take(void) { keep = malloc(6021); return 0; }
            __attribute__((noinline)) static int outer(int (*through)(int (*)(void))) { return through(take) + 1; }
            int main(void) {
                return outer((int (*)(int (*)(void)))dlsym(dlopen("./libthrough.so", RTLD_NOW), "through")) != 1;
            }
            """, flags: ["-fno-inline"])
        _ = try compile(
            """
            int through(int (*function)(void)) {
                volatile char room[200];
                room[0] = 1;
                return function() + room[0] - 1;
            }
            """, as: "libthrough.so.c",
            flags: ["-shared", "-fPIC", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", frames],
            in: probed.folder)
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        let site = try #require(profile.samples.first { $0.size == 6021 }.map { profile.sites[Int($0.site)] })
        #expect(site.isCut == isCut)
        // take < through < outer < main < two of libc < _start
        #expect(isCut ? site.stack.count < 7 : site.stack.count == 7)
    }

    /// There rbp may hold anything, as optimised Swift without frame pointers shows: no address may wrap around.
    @Test func anythingInTheFramePointer() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *volatile keep;
            static void take(void) { keep = malloc(6021); }
            void through(void (*function)(void), unsigned long rbp);
            __asm__("through: push %rbp; mov %rsi, %rbp; call *%rdi; pop %rbp; ret");
            int main(void) {
                unsigned long odd[] = {0, 1, 7, 8, 16, 4095, 4096, -1ul, -8ul, -16ul, -4096ul, 1ul << 63, (1ul << 47) - 8,
                    (unsigned long)&keep, (unsigned long)main, (unsigned long)odd, (unsigned long)odd + 1};
                for (int i = 0; i < 17; i++) through(take, odd[i]);
                return 0;
            }
            """, flags: ["-fno-inline", "-fomit-frame-pointer"])
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        #expect(profile.samples.filter { $0.size == 6021 }.count == 17)
    }
}

extension Site {
    /// Return addresses in memory.
    fileprivate func addresses(in profile: HeapProfile) -> [UInt64] {
        stack.map { $0.module < 0 ? $0.offset : $0.offset &+ profile.modules[Int($0.module)].bias }
    }
}
