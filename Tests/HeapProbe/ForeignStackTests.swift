import HeapProfile
import TestSupport
import Testing

/// Stacks that are not the thread's own: nothing is known of what lies below them, and what was there may be gone.
@Suite struct ForeignStackTests {
    /// `onStack(top, function, n)` calls it there, by hand; so does `onStackUntold`, whose table does not tell that it left
    /// the stack, so that a walk goes on behind the top. `deep(n)` takes blocks n calls below.
    private static let switching = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <ucontext.h>
        #define PAGE 4096l
        static void *volatile keep;
        void onStack(void *top, void (*function)(int), int n);
        __asm__(".text\\nonStack:\\n.cfi_startproc\\npush %rbp\\n.cfi_def_cfa_offset 16\\n.cfi_offset %rbp, -16\\n"
                "mov %rsp, %rbp\\n.cfi_def_cfa_register %rbp\\nmov %rdi, %rsp\\nmov %edx, %edi\\ncall *%rsi\\n"
                "mov %rbp, %rsp\\npop %rbp\\n.cfi_def_cfa %rsp, 8\\nret\\n.cfi_endproc\\n");
        void onStackUntold(void *top, void (*function)(int), int n);
        __asm__("onStackUntold:\\n.cfi_startproc\\npush %rbp\\n.cfi_adjust_cfa_offset 8\\npush %rbx\\n"
                ".cfi_adjust_cfa_offset 8\\nmov %rsp, %rbx\\nmov %rdi, %rsp\\nmov %edx, %edi\\ncall *%rsi\\n"
                "mov %rbx, %rsp\\npop %rbx\\n.cfi_adjust_cfa_offset -8\\npop %rbp\\n.cfi_adjust_cfa_offset -8\\nret\\n"
                ".cfi_endproc\\n");
        __attribute__((noinline, optimize("no-optimize-sibling-calls"))) static void deep(int n) {
            volatile char room[200];
            room[0] = n;
            if (n > 0) deep(n - 1);
            else for (int i = 0; i < 50; i++) { keep = malloc(6301); free(keep); }
            room[1] = n;
        }
        static ucontext_t home, other;
        static int depth;
        static void work(void) { deep(depth); }
        static void coroutine(void *low, size_t size, int n) {
            getcontext(&other);
            other.uc_stack = (stack_t){.ss_sp = low, .ss_size = size};
            other.uc_link = &home;
            depth = n;
            makecontext(&other, work, 0);
            swapcontext(&home, &other);
        }

        """

    private func run(_ body: String) throws -> HeapProfile {
        let probed = try Probed(Self.switching + body, flags: ["-D_GNU_SOURCE", "-O1", "-pthread", "-Wl,-z,now"])
        let result = try probed.run()
        #expect(result.status == 0 && !result.wasSignalled, "\(result)")
        return try #require(try probed.profiles().first)
    }

    /// A large stack is given back, and a smaller one takes the lower part of its place: behind its top nothing is mapped.
    @Test(arguments: ["onStack(memory + 64 * PAGE, deep, 800)", "coroutine(memory, 64 * PAGE, 800)"])
    func aPlaceUsedAgain(large: String) throws {
        let profile = try run(Self.place(large: large, small: "onStack"))
        #expect(profile.blocks(ofSize: 6301).live == 0)
        // The switch by hand ends nowhere: main is found behind it, as libgcc's unwinder would.
        #expect(profile.sites.contains { $0.stack.count > 42 })
    }

    @Test func nothingIsReadBehindTheTop() throws {
        let profile = try run(
            Self.place(large: "onStackUntold(memory + 64 * PAGE, deep, 800)", small: "onStackUntold"))
        #expect(profile.blocks(ofSize: 6301).live == 0)
    }

    private static func place(large: String, small: String) -> String {
        """
        int main(void) {
            for (int round = 0; round < 20; round++) {
                char *memory = mmap(NULL, 256 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                mprotect(memory, 64 * PAGE, PROT_READ | PROT_WRITE);
                \(large);
                munmap(memory + 16 * PAGE, 240 * PAGE);
                \(small)(memory + 16 * PAGE, deep, 0);
                for (int n = 0; n < 40; n++) \(small)(memory + 16 * PAGE, deep, n);
                munmap(memory, 16 * PAGE);
            }
            return 0;
        }
        """
    }

    /// What the program keeps right below a small stack stays as it is.
    @Test(arguments: [(4096, 0), (8192, 10), (16384, 50)])
    func dataBelowAStack(size: Int, depth: Int) throws {
        _ = try run(
            """
            static unsigned char memory[16 * PAGE + \(size)] __attribute__((aligned(4096)));
            int main(void) {
                memset(memory, 0x5a, 16 * PAGE);
                coroutine(memory + 16 * PAGE, \(size), \(depth));
                for (long i = 0; i < 16 * PAGE; i++) if (memory[i] != 0x5a) return 1;
                return 0;
            }
            """)
    }

    /// Stacks within the thread's own memory, which a look at where they lie does not tell from its own: in a local array,
    /// in a thread-local, and above a page of its stack that a runtime made its guard.
    @Test(arguments: [
        "coroutine(local.stack, sizeof local.stack, 0); return spoilt(local.below, sizeof local.below);",
        "handler(local.stack, sizeof local.stack); return spoilt(local.below, sizeof local.below);",
        "handler(own.stack, sizeof own.stack); return spoilt(own.below, sizeof own.below);",
        "return guarded();",
    ])
    func dataBelowAStackWithin(use: String) throws {
        _ = try run(
            """
            #include <pthread.h>
            #include <signal.h>
            struct place { unsigned char below[8 * PAGE], stack[2 * PAGE]; };
            static __thread struct place own;
            static int spoilt(unsigned char *bytes, long size) {
                int count = 0;
                for (long i = 0; i < size; i++) count += bytes[i] != 0x5a;
                return count;
            }
            static void handle(int signal) { (void)signal; deep(0); }
            static void handler(void *low, size_t size) {
                sigaltstack(&(stack_t){.ss_sp = low, .ss_size = size}, 0);
                sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle, .sa_flags = SA_ONSTACK}, 0);
                raise(SIGUSR1);
                sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, 0);
            }
            static __attribute__((noinline)) int upTo(char *low) {
                volatile char room[64];
                room[0] = 1;
                if ((char *)__builtin_frame_address(0) - low > 1400) upTo(low);
                else for (int i = 0; i < 50; i++) { keep = malloc(6301); free(keep); }
                return room[0] - 1;
            }
            static int guarded(void) {
                char *low = (char *)(((long)__builtin_frame_address(0) - 25 * PAGE) & -PAGE);
                if (mprotect(low, PAGE, PROT_NONE)) return 1;
                int result = upTo(low + PAGE);
                return mprotect(low, PAGE, PROT_READ | PROT_WRITE) ? 1 : result;
            }
            static long use(void) {
                struct place local;
                memset(local.below, 0x5a, sizeof local.below);
                memset(own.below, 0x5a, sizeof own.below);
                \(use)
            }
            static void *begin(void *no) { (void)no; return (void *)use(); }
            int main(void) {
                pthread_t thread;
                void *result;
                if (use() || pthread_create(&thread, 0, begin, 0) || pthread_join(thread, &result)) return 1;
                return result != 0;
            }
            """)
    }

    /// Nothing can be asked, so that nothing but the thread's own stack counts as readable: the frame pointer of code
    /// without tables leads nowhere.
    @Test func aSandboxThatDoesNotTellWhatIsReadable() throws {
        let profile = try run(
            """
            #include <linux/filter.h>
            #include <linux/seccomp.h>
            #include <stddef.h>
            #include <sys/prctl.h>
            #include <sys/syscall.h>
            static void allocate(void) { deep(0); }
            int main(void) {
                /* push rbp; lea rbp, [rsp + 4 MiB]; call rdi; pop rbp; ret */
                static const unsigned char code[] = {0x55, 0x48, 0x8d, 0xac, 0x24, 0, 0, 0x40, 0, 0xff, 0xd7, 0x5d, 0xc3};
                void *page = mmap(NULL, PAGE, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                memcpy(page, code, sizeof code);
                struct sock_filter filter[] = {
                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                };
                struct sock_fprog sandbox = {4, filter};
                deep(0);
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &sandbox)) return 1;
                ((void (*)(void (*)(void)))page)(allocate);
                return 0;
            }
            """)
        #expect(profile.blocks(ofSize: 6301).live == 0)
    }

    /// An allocator that a handler may interrupt anywhere, and allocate.
    private static let interruptible = """
        #include <stddef.h>
        #include <string.h>
        #include <sys/mman.h>
        static char *next;
        void *malloc(size_t size) {
            size_t taken = (size + 31) & ~15ul;
            char *none = NULL, *memory;
            if (!__atomic_load_n(&next, __ATOMIC_ACQUIRE)) {
                memory = mmap(NULL, 1ul << 38, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                __atomic_compare_exchange_n(&next, &none, memory + 16, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
            }
            char *block = __atomic_fetch_add(&next, taken, __ATOMIC_RELAXED);
            return ((size_t *)block)[-2] = size, block;
        }
        void free(void *block) {}
        void *calloc(size_t n, size_t size) { return malloc(n * size); }
        void *realloc(void *block, size_t size) {
            void *moved = malloc(size);
            size_t before = block ? ((size_t *)block)[-2] : 0;
            return block ? memcpy(moved, block, before < size ? before : size) : moved;
        }
        """

    private func runInterruptible(_ source: String) throws -> HeapProfile {
        let probed = try Probed(source, flags: ["-D_GNU_SOURCE", "-pthread"])
        let allocator = try compile(
            Self.interruptible, as: "liballocator.so.c", flags: ["-shared", "-fPIC"], in: probed.folder)
        let result = try probed.run(preloadAfter: allocator)
        #expect(result.status == 0 && !result.wasSignalled, "\(result)")
        return try #require(try probed.profiles().first)
    }

    /// The handler's stack, in a thread-local or a local array, lies above the sample that it interrupts.
    @Test(arguments: ["own", "local"])
    func aHandlersStackWithinTheThreadsOwn(place: String) throws {
        _ = try runInterruptible(
            """
            #include <pthread.h>
            #include <signal.h>
            #include <stdlib.h>
            #include <sys/time.h>
            static __thread char own[65536];
            static void *volatile keep;
            static volatile long handled;
            static void handle(int number) { handled++; keep = malloc(200); }
            static void *thread(void *no) {
                char local[65536];
                local[0] = own[0] = 0;
                sigaltstack(&(stack_t){.ss_sp = \(place), .ss_size = 65536}, NULL);
                sigset_t alarm;
                sigemptyset(&alarm), sigaddset(&alarm, SIGALRM);
                pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
                while (handled < 5000) keep = malloc(100);
                return no;
            }
            int main(void) {
                sigset_t alarm;
                sigemptyset(&alarm), sigaddset(&alarm, SIGALRM);
                pthread_sigmask(SIG_BLOCK, &alarm, NULL);
                sigaction(SIGALRM, &(struct sigaction){.sa_handler = handle, .sa_flags = SA_ONSTACK}, NULL);
                setitimer(ITIMER_REAL, &(struct itimerval){{0, 200}, {0, 200}}, NULL);
                pthread_t other;
                pthread_create(&other, NULL, thread, NULL);
                pthread_join(other, NULL);
                return 0;
            }
            """)
    }

    /// A timeout that jumps out of a coroutine takes at most the sample with it that was under way.
    @Test func aJumpOutOfACoroutinesSample() throws {
        let profile = try runInterruptible(
            """
            #include <setjmp.h>
            #include <signal.h>
            #include <stdlib.h>
            #include <sys/mman.h>
            #include <sys/time.h>
            #include <ucontext.h>
            static sigjmp_buf home;
            static void *volatile keep;
            static ucontext_t back, other;
            static void leave(int number) { siglongjmp(home, 1); }
            static void churn(void) { for (;;) free(keep = malloc(100)); }
            int main(void) {
                size_t size = 1 << 18;
                char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                signal(SIGALRM, leave);
                for (volatile int i = 0; i < 300; i++) {
                    if (sigsetjmp(home, 1) != 0) continue;
                    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 300 + i * 37 % 200}}, NULL);
                    getcontext(&other);
                    other.uc_stack = (stack_t){.ss_sp = stack, .ss_size = size};
                    other.uc_link = &back;
                    makecontext(&other, churn, 0);
                    swapcontext(&back, &other);
                }
                for (int i = 0; i < 1000; i++) keep = malloc(6705);
                return 0;
            }
            """)
        #expect(profile.blocks(ofSize: 6705).live == 1000)
    }
}
