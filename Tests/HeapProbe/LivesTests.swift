import Foundation
import HeapLedger
import HeapProfile
import TestSupport
import Testing

/// What a process can do to itself, and the probe inside it must bear.
@Suite struct LivesTests {
    @Test func aForkedChildHasALedgerOfItsOwn() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            #include <sys/wait.h>
            #include <unistd.h>
            void *volatile keep[100];
            void *volatile before;
            int main(void) {
                before = malloc(5551);
                if (fork() == 0) {
                    free(before);                       /* the parent's sample stays the parent's */
                    for (int i = 0; i < 7; i++) keep[i] = malloc(5553);
                    if (fork() == 0) _exit(0);          /* allocates nothing: leaves no ledger */
                    wait(NULL);
                    _exit(0);
                }
                wait(NULL);
                if (vfork() == 0) _exit(0);
                wait(NULL);
                for (int i = 0; i < 5; i++) keep[i] = malloc(5555);
                return 0;
            }
            """)
        #expect(try probed.run().status == 0)
        let profiles = try probed.profiles()
        try #require(profiles.count == 2)
        #expect(profiles[0].blocks(ofSize: 5551).live == 1)
        #expect(profiles[0].blocks(ofSize: 5553).live == 0)
        #expect(profiles[0].blocks(ofSize: 5555).live == 5)
        #expect(profiles[1].blocks(ofSize: 5553).live == 7)
        #expect(profiles[1].blocks(ofSize: 5551).live == 0)
        #expect(profiles[0].process.exited && !profiles[1].process.exited)
    }

    @Test func anExecutedImageHasALedgerOfItsOwn() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            #include <unistd.h>
            void *volatile keep;
            int main(int argc, char **argv) {
                keep = malloc(argc == 1 ? 5561 : 5563);
                if (argc == 1) execl(argv[0], argv[0], "again", NULL);
                return 0;
            }
            """)
        #expect(try probed.run().status == 0)
        let profiles = try probed.profiles()
        #expect(profiles.map { $0.blocks(ofSize: 5561).live } == [1, 0])
        #expect(profiles.map { $0.blocks(ofSize: 5563).live } == [0, 1])
        #expect(Set(profiles.map(\.process.pid)).count == 1)
    }

    @Test func exceptionsAlsoThroughADlopenedLibrary() throws {
        let thrower = """
            #include <stdexcept>
            #include <string>
            extern "C" int catches(int n) {
                int caught = 0;
                for (int i = 0; i < n; i++)
                    try { throw std::runtime_error(std::to_string(i)); } catch (const std::exception &e) { caught++; }
                return caught;
            }
            """
        let probed = try Probed(
            """
            #include <dlfcn.h>
            #include <stdio.h>
            int main(void) {
                int (*catches)(int) = dlsym(dlopen("./libthrow.so", RTLD_NOW | RTLD_LOCAL), "catches");
                printf("%d\\n", catches(100000));
                return 0;
            }
            """)
        _ = try compile(thrower, as: "libthrow.so.cpp", flags: ["-shared", "-fPIC"], in: probed.folder)
        let result = try probed.run(interval: "4KiB")
        #expect(result.output == "100000\n")
        #expect(result.status == 0)
    }

    @Test func manyShortThreads() throws {
        let probed = try Probed(
            """
            #include <pthread.h>
            #include <stdlib.h>
            static void *work(void *unused) {
                for (int i = 0; i < 100; i++) free(malloc(900));
                return malloc(5571);
            }
            int main(void) {
                for (int i = 0; i < 250; i++) {
                    pthread_t t[8];
                    for (int j = 0; j < 8; j++) if (pthread_create(&t[j], NULL, work, NULL)) return 1;
                    for (int j = 0; j < 8; j++) pthread_join(t[j], NULL);
                }
                return 0;
            }
            """, flags: ["-pthread"])
        #expect(try probed.run().status == 0)
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 5571).live == 2000)
        #expect(Set(profile.samples.filter { $0.size == 5571 }.map(\.thread)).count > 1)
    }

    /// A daemon closes all descriptors and opens its own: none of them may be taken for one of the probe's.
    @Test func theProgramsDescriptorsAreItsOwn() throws {
        let probed = try Probed(
            """
            #include <fcntl.h>
            #include <pthread.h>
            #include <stdlib.h>
            #include <unistd.h>
            void *volatile keep;
            static void *work(void *unused) { for (int i = 0; i < 200; i++) keep = malloc(3001); return NULL; }
            int main(void) {
                for (int i = 0; i < 20; i++) keep = malloc(3000);
                for (int fd = 3; fd < 64; fd++) close(fd);
                int files[2] = {open("a", O_CREAT | O_WRONLY, 0600), open("b", O_CREAT | O_WRONLY, 0600)};
                if (files[0] != 3 || files[1] != 4) return 1;
                pthread_t t;
                pthread_create(&t, NULL, work, NULL);
                pthread_join(t, NULL);
                return write(files[0], "A", 1) == 1 && write(files[1], "B", 1) == 1 ? 0 : 2;
            }
            """, flags: ["-pthread"])
        #expect(try probed.run().status == 0)
        #expect(contents(of: probed.folder.file("a")) == [UInt8(ascii: "A")])
        #expect(contents(of: probed.folder.file("b")) == [UInt8(ascii: "B")])
    }

    @Test func theSmallestStackIsEnough() throws {
        let probed = try Probed(
            """
            #include <limits.h>
            #include <pthread.h>
            #include <stdlib.h>
            void *volatile keep;
            static void *work(void *unused) { for (int i = 0; i < 10; i++) keep = malloc(3003); return NULL; }
            int main(void) {
                pthread_attr_t attributes;
                pthread_attr_init(&attributes);
                if (pthread_attr_setstacksize(&attributes, 16384)) return 1;
                keep = malloc(3005);
                pthread_t t;
                if (pthread_create(&t, &attributes, work, NULL)) return 2;
                return pthread_join(t, NULL);
            }
            """, flags: ["-pthread"])
        let result = try probed.run()
        #expect(result.status == 0 && !result.wasSignalled)
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 3003).live == 10)
        #expect(profile.sites.allSatisfy { !$0.stack.isEmpty || $0.allocated.count == 0 })
    }

    /// Other threads, also one that never allocates, hold the loader's lock at the moment of a fork; the child must not wait
    /// for it.
    @Test(arguments: [
        "void *library = dlopen(\"libm.so.6\", RTLD_NOW); free(malloc(100)); if (library) dlclose(library);",
        "dl_iterate_phdr(look, NULL);",
    ])
    func childrenOfABusyLoaderDoNotHang(busy: String) throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <link.h>
            #include <pthread.h>
            #include <stdlib.h>
            #include <sys/wait.h>
            #include <unistd.h>
            void *volatile keep;
            int look(struct dl_phdr_info *i, size_t s, void *c) { for (volatile int k = 0; k < 300; k++); return 0; }
            static void *work(void *unused) { for (;;) { \(busy) } }
            int main(void) {
                pthread_t t[2];
                for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, work, NULL);
                for (int i = 0; i < 200; i++) {
                    if (fork() == 0) { alarm(20); for (int j = 0; j < 20; j++) keep = malloc(3100 + j); _exit(0); }
                    int status;
                    wait(&status);
                    if (status != 0) _exit(1);
                }
                _exit(0);
            }
            """, flags: ["-pthread", "-ldl"])
        #expect(try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0)
    }

    /// The loader's lock is held while a callback waits for a lock under which another thread allocates.
    @Test func aCallbackOfTheLoaderThatWaitsForAnAllocation() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <link.h>
            #include <pthread.h>
            #include <stdlib.h>
            #include <unistd.h>
            static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
            static void *volatile keep;
            static int look(struct dl_phdr_info *i, size_t s, void *c) {
                pthread_mutex_lock(&lock);
                return pthread_mutex_unlock(&lock);
            }
            static void *allocate(void *unused) {
                for (;;) {
                    pthread_mutex_lock(&lock);
                    for (int i = 0; i < 5; i++) { keep = malloc(3200); free(keep); }
                    pthread_mutex_unlock(&lock);
                }
            }
            int main(void) {
                pthread_t t;
                alarm(60);
                pthread_create(&t, NULL, allocate, NULL);
                for (int i = 0; i < 2000; i++) { dl_iterate_phdr(look, NULL); usleep(100); }
                _exit(0);
            }
            """, flags: ["-pthread"])
        let result = try probed.run()
        #expect(result.status == 0 && !result.wasSignalled)
    }

    @Test func childrenThatLeaveWithoutGoodbyeDoNotFillTheFolder() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            #include <sys/wait.h>
            #include <unistd.h>
            void *volatile keep;
            int main(void) {
                keep = malloc(1);
                for (int i = 0; i < 100; i++) {
                    if (fork() == 0) { keep = malloc(2); _exit(0); }
                    wait(NULL);
                }
                return 0;
            }
            """)
        #expect(try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0)
        let left = LedgerFolder(path: probed.ledgers).all().count
        #expect((17...66).contains(left), "\(left)")
        #expect(try probed.profiles().first?.process.exited == true)
    }

    /// Whoever may write to the file may write anything, at any time: the program must bear it.
    @Test func garbageInTheLedger() throws {
        let probed = try Probed(
            """
            #include <fcntl.h>
            #include <glob.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            #include <sys/mman.h>
            static void *kept[500];
            int main(int count, char **arguments) {
                unsigned long state = strtoul(arguments[1], NULL, 10), size = 2 << 20;
                for (int i = 0; i < 500; i++) kept[i] = malloc(1000 + i);
                glob_t found;
                if (glob("ledgers/*.ledger", 0, NULL, &found) != 0) return 3;
                char *ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, open(found.gl_pathv[0], O_RDWR), 0);
                if (ledger == MAP_FAILED) return 4;
                for (int i = 0; i < 20000; i++) {
                    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                    unsigned long at = state % 3 ? state / 3 % 900 & ~7ul : state / 3 % size & ~7ul;
                    unsigned long odd[] = {0, 1, -1ul, state, 1ul << 40, state % 100000};
                    memcpy(ledger + at, &odd[state / 7 % 6], 8);
                    free(kept[i % 500]);
                    kept[i % 500] = malloc(1000 + state % 700);
                }
                return 0;
            }
            """)
        for seed in 1...20 {
            let result = try probed.run(["\(seed)"], environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"])
            #expect(result.status == 0 && !result.wasSignalled, "seed \(seed)")
            for ledger in LedgerFolder(path: probed.ledgers).all() { unlink(ledger) }
        }
    }

    /// The parent's gap to the next sample is not the child's: else all that one parent forks are seen at the same byte of
    /// their lives, or none of them is, and each is seen too late.
    @Test func whatForkedChildrenAllocateIsKnownWithoutBias() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            #include <sys/wait.h>
            #include <unistd.h>
            void *volatile keep;
            int main(void) {
                keep = malloc(1 << 20);  /* a sample, and no more: else a busy machine may make it coarser */
                for (int child = 0; child < 60; child++) {
                    if (fork() == 0) {
                        for (int i = 0; i < 96; i++) keep = malloc(256);
                        _exit(0);
                    }
                    wait(NULL);
                }
                return 0;
            }
            """)
        var estimate = 0.0
        var seen = 0
        for _ in 0..<8 {
            #expect(try probed.run(interval: "8KiB", environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0)
            let children = try probed.profiles().dropFirst()
            estimate += children.reduce(0) { $0 + $1.blocks(ofSize: 256).live }
            seen += children.count
            for ledger in LedgerFolder(path: probed.ledgers).all() { unlink(ledger) }  // it keeps 64 of them
        }
        // 1,440 samples are expected: six standard errors. A gap more for each child would be a quarter.
        #expect(abs(estimate / (8 * 60 * 96) - 1) < 0.16, "\(estimate)")
        // Of 480, one in e³ is not: 456, and six standard errors.
        #expect((427...479).contains(seen), "\(seen)")
    }

    @Test func manyShortProcessesDoNotFillTheFolder() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *volatile keep;
            int main(void) { keep = malloc(1); return 0; }
            """)
        for _ in 0..<40 { #expect(try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0) }
        #expect((1...17).contains(LedgerFolder(path: probed.ledgers).all().count))
    }

    /// Killed before they were whole: they are no evidence. Where that was just now they may be in the making.
    @Test func ledgersThatWereNeverFinishedAreRemoved() throws {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *volatile keep;
            int main(void) { keep = malloc(1); return 0; }
            """)
        #expect(try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0)
        let none = try String(contentsOfFile: "/proc/sys/kernel/pid_max", encoding: .utf8).split(separator: "\n")[0]
        for number in 0..<40 {
            let file = probed.ledgers + "/\(none)-\(number).ledger"
            write(Array(repeating: 0, count: 4096), to: file)
            guard number > 0 else { continue }
            try FileManager.default.setAttributes([.modificationDate: Date() - 3600], ofItemAtPath: file)
        }
        #expect(try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"]).status == 0)
        let left = try FileManager.default.contentsOfDirectory(atPath: probed.ledgers)
        #expect(left.filter { $0.hasPrefix("\(none)-") } == ["\(none)-0.ledger"])
        #expect(left.count == 2)  // and the last run's
    }

    /// What the program rounds, traps or will ask for is its own.
    @Test func theFloatingPointEnvironmentStaysAsItIs() throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <fenv.h>
            #include <stdlib.h>
            void *volatile keep[300];
            static void churn(void) {
                for (int i = 0; i < 300; i++) keep[i] = malloc(7000 + i);
                for (int i = 0; i < 300; i++) keep[i] = realloc(keep[i], 9000 + i);
                for (int i = 0; i < 300; i++) free(keep[i]);
            }
            int main(void) {
                feclearexcept(FE_ALL_EXCEPT);
                churn();
                if (fetestexcept(FE_ALL_EXCEPT)) return 3;
                fesetround(FE_UPWARD);
                feenableexcept(FE_INEXACT | FE_DIVBYZERO | FE_INVALID);
                churn();
                return fegetround() == FE_UPWARD && fetestexcept(FE_ALL_EXCEPT) == 0 ? 0 : 4;
            }
            """, flags: ["-lm"])
        for interval in ["1", "8KiB"] {
            let result = try probed.run(interval: interval)
            #expect(result.status == 0 && !result.wasSignalled, "interval \(interval): \(result)")
        }
    }

    @Test func aFileSizeLimitIsNoSignal() throws {
        let result = try idle("ulimit -f 100; exec ./program")
        #expect(result.status == 0 && !result.wasSignalled)
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(result.errors.contains("larger than RLIMIT_FSIZE"))
    }

    @Test func aFolderThatCannotBeMadeIsSaidOnce() throws {
        let result = try idle("HEAPTIDE_DIR=/proc/none exec ./program")
        #expect(result.status == 0)
        #expect(
            result.errors
                == "heaptide-probe: cannot make the folder HEAPTIDE_DIR: /proc/none; this process is not recorded\n")
    }

    @Test func aSettingThatIsNoSizeIsSaidAndRecordingGoesOn() throws {
        let result = try idle("HEAPTIDE_SAMPLE_INTERVAL=often HEAPTIDE_LEDGER_SIZE=2MiB exec ./program")
        #expect(result.status == 0)
        #expect(
            result.errors
                == "heaptide-probe: HEAPTIDE_SAMPLE_INTERVAL: often; that is no size such as 64KiB, the default is used\n"
        )
    }

    @Test func aClosedStandardErrorIsLeftAlone() throws {
        let result = try idle("HEAPTIDE_DIR=/proc/none exec ./program 2>&-")
        #expect(result.status == 0 && result.errors.isEmpty)
    }

    /// A program of a few allocations, started by a shell line with the probe in the environment.
    private func idle(_ line: String) throws -> Finished {
        let probed = try Probed(
            """
            #include <stdlib.h>
            void *volatile keep;
            int main(void) { for (int i = 0; i < 100; i++) keep = malloc(100); return 0; }
            """)
        return try TestSupport.run(
            "/bin/sh", ["-c", "export LD_PRELOAD=$PROBE; \(line)"],
            environment: [
                "PROBE": Products.probe, "HEAPTIDE_DIR": probed.ledgers, "HEAPTIDE_SAMPLE_INTERVAL": "1",
            ], in: probed.folder.path)
    }

    /// A C program may call its own functions as libc does its: the probe's calls stay libc's. In the program's `write` and
    /// `clock_gettime` there is a lock, under which it allocates.
    @Test func namesOfLibcsFunctions() throws {
        let probed = try Probed(
            """
            #include <pthread.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <time.h>
            static int calls;
            static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
            void *volatile keep;
            int open(const char *door, int how) { return calls++; }
            int close(int door) { return calls++; }
            int mkdir(const char *name) { return calls++; }
            void *mmap(void) { calls++; return NULL; }
            void syscall(const char *name) { puts(name); calls++; }
            int clock_gettime(clockid_t clock, struct timespec *now) {
                pthread_mutex_lock(&lock);
                keep = malloc(6701);
                now->tv_sec = now->tv_nsec = 0;
                calls++;
                pthread_mutex_unlock(&lock);
                return 0;
            }
            int main(void) {
                struct timespec now;
                for (int i = 0; i < 50; i++) clock_gettime(CLOCK_MONOTONIC, &now), keep = malloc(6703);
                for (long i = 0; i < 1000000000 && !keep; i++);
                printf("%d\\n", calls);
                return 0;
            }
            """)
        let result = try probed.run()
        #expect(result.output == "50\n" && result.status == 0 && result.errors == "", "\(result)")
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 6701).live == 50 && profile.blocks(ofSize: 6703).live == 50)
        #expect(profile.process.startTime > 1e9)
    }

    /// Programs jump out of handlers, wherever the signal came, and cancel threads: what was under way is lost, and nothing
    /// else. The first signals come while the ledger is made. The allocator is one that bears it, which glibc's does not.
    @Test(arguments: [
        "jumping();", "for (int i = 0; i < 150; i++) run(jumpingOnce);",
        "for (int i = 0; i < 150; i++) run(cancelled);",
    ])
    func samplesThatAreLeft(by leaving: String) throws {
        let probed = try Probed(
            """
            #define _GNU_SOURCE
            #include <pthread.h>
            #include <setjmp.h>
            #include <signal.h>
            #include <stdatomic.h>
            #include <stdlib.h>
            #include <sys/time.h>
            #include <unistd.h>
            static __thread sigjmp_buf home;
            static void *volatile keep[200];
            static atomic_int ready;
            static void leave(int signal) { (void)signal; siglongjmp(home, 1); }
            static __attribute__((noinline)) void churn(void) { for (;;) { void *volatile p = malloc(100); free(p); } }
            static void jumping(void) {
                for (volatile int i = 0; i < 300; i++)
                    if (sigsetjmp(home, 1) == 0) {
                        setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 200}}, NULL);
                        churn();
                    }
            }
            static void *jumpingOnce(void *no) {
                if (sigsetjmp(home, 1) == 0) {
                    ready = 1;
                    churn();
                }
                return no;
            }
            static void *cancelled(void *no) {
                pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
                ready = 1;
                churn();
                return no;
            }
            static void run(void *(*work)(void *)) {
                pthread_t thread;
                ready = 0;
                pthread_create(&thread, NULL, work, NULL);
                while (!ready) usleep(10);
                if (work == cancelled) pthread_cancel(thread);
                else pthread_kill(thread, SIGALRM);
                pthread_join(thread, NULL);
            }
            int main(void) {
                signal(SIGALRM, leave);
                if (sigsetjmp(home, 1) == 0) { \(leaving) }
                for (int i = 0; i < 200; i++) keep[i] = malloc(6705);
                return 0;
            }
            """, flags: ["-pthread", "-O1"])
        let result = try probed.run(preloadAfter: try neverHalfDone(in: probed.folder))
        #expect(result.status == 0 && !result.wasSignalled, "\(result)")
        #expect(try probed.profiles().first?.blocks(ofSize: 6705).live == 200)
    }

    /// An allocator of one atomic addition, which can be left at any moment.
    private func neverHalfDone(in folder: TemporaryFolder) throws -> String {
        try compile(
            """
            #include <stddef.h>
            #include <string.h>
            #include <sys/mman.h>
            static char *next;
            void *malloc(size_t size) {
                size_t room = 1ul << 36, taken = (size + 31) & ~15ul;
                char *none = NULL, *memory;
                if (!__atomic_load_n(&next, __ATOMIC_ACQUIRE)) {
                    memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                    __atomic_compare_exchange_n(&next, &none, memory + 16, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
                }
                char *block = __atomic_fetch_add(&next, taken, __ATOMIC_RELAXED);
                return ((size_t *)block)[-2] = size, block;
            }
            void free(void *block) {}
            void *calloc(size_t count, size_t size) { return malloc(count * size); }
            void *realloc(void *block, size_t size) {
                size_t old = block ? ((size_t *)block)[-2] : 0;
                return memcpy(malloc(size), block, old < size ? old : size);
            }
            void *memalign(size_t alignment, size_t size) {
                return (void *)(((size_t)malloc(size + alignment) + alignment - 1) & -alignment);
            }
            int posix_memalign(void **block, size_t alignment, size_t size) { *block = memalign(alignment, size); return 0; }
            """, as: "libneverhalfdone.so.c", flags: ["-shared", "-fPIC", "-O2", "-fno-builtin", "-w"], in: folder)
    }
}
