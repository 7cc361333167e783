import HeapProfile
import TestSupport
import Testing

/// Stacks that are no ordinary ones, and threads at a bad moment.
@Suite struct ThreadsAndSignalsTests {
    /// Runs `body` in an ordinary program; it must end by itself with status 0.
    private func profile(_ source: String, interval: String = "1") throws -> HeapProfile {
        let probed = try Probed(source, flags: ["-pthread", "-D_GNU_SOURCE"])
        let result = try probed.run(interval: interval)
        #expect(result.status == 0 && !result.wasSignalled, "\(result)")
        return try #require(try probed.profiles().first)
    }

    /// Right below each stack there is a page that must not be touched.
    private static let guarded = """
        #include <pthread.h>
        #include <signal.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/time.h>
        #include <ucontext.h>
        #include <unistd.h>
        void *volatile keep;
        static char *stack(size_t size) {
            char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            mprotect(memory, 4096, PROT_NONE);
            return memory + 4096;
        }

        """

    @Test(arguments: [8192, 65536]) func anAlternateSignalStack(size: Int) throws {
        let profile = try profile(
            Self.guarded + """
                static void handler(int number) { for (int i = 0; i < 5; i++) keep = malloc(6201); }
                int main(void) {
                    stack_t other = {.ss_sp = stack(\(size)), .ss_size = \(size)};
                    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
                    if (sigaltstack(&other, NULL) || sigaction(SIGUSR1, &action, NULL)) return 1;
                    keep = malloc(6200); /* the ledger is not made on a small stack */
                    for (int i = 0; i < 20; i++) raise(SIGUSR1);
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6201).live == 100)
    }

    @Test(arguments: [16384, 65536]) func coroutines(size: Int) throws {
        let profile = try profile(
            Self.guarded + """
                static ucontext_t home, contexts[4];
                static void work(int me) {
                    for (int i = 0; i < 250; i++) { keep = malloc(6203); swapcontext(&contexts[me], &home); }
                }
                int main(void) {
                    for (int i = 0; i < 4; i++) {
                        getcontext(&contexts[i]);
                        contexts[i].uc_stack.ss_sp = stack(\(size));
                        contexts[i].uc_stack.ss_size = \(size);
                        contexts[i].uc_link = &home;
                        makecontext(&contexts[i], (void (*)(void))work, 1, i);
                    }
                    for (int i = 0; i < 1000; i++) swapcontext(&home, &contexts[i % 4]);
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6203).live == 1000)
    }

    /// Signals come in the middle of everything, also of the probe's own work; handlers of a program whose main part
    /// allocates with them blocked may allocate.
    @Test func handlersThatAllocate() throws {
        let profile = try profile(
            Self.guarded + """
                static volatile int handled;
                static void handler(int number) { handled++; free(malloc(6205)); keep = malloc(6207); }
                static void *work(void *unused) {
                    for (int i = 0; i < 100000; i++) { void *volatile block = malloc(6209); free(block); }
                    return NULL;
                }
                int main(void) {
                    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
                    struct itimerval often = {{0, 1000}, {0, 1000}};
                    sigset_t alarms;
                    pthread_t threads[3];
                    sigemptyset(&alarms);
                    sigaddset(&alarms, SIGALRM);
                    sigaction(SIGALRM, &action, NULL);
                    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
                    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, work, NULL);
                    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
                    setitimer(ITIMER_REAL, &often, NULL);
                    while (handled < 200) ;
                    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
                    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
                    return handled < 200;
                }
                """)
        #expect(profile.blocks(ofSize: 6205).live == 0)
        #expect(profile.blocks(ofSize: 6207).live >= 200)
        #expect(profile.blocks(ofSize: 6209).live == 0 && profile.sampling.samplesTaken > 300_000)
    }

    /// The same in threads that do nothing but allocate: a handler that comes while its thread is in malloc must not
    /// allocate itself, but may look at the time, and the probe is interrupted in the midst of its samples.
    @Test func signalsInTheMidstOfSamples() throws {
        let profile = try profile(
            Self.guarded + """
                static volatile int handled;
                static void handler(int number) { __sync_fetch_and_add(&handled, 1); }
                static void *work(void *unused) {
                    while (handled < 1000) {
                        void *volatile block = malloc(6213);
                        free(block);
                    }
                    return NULL;
                }
                int main(void) {
                    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
                    struct itimerval often = {{0, 200}, {0, 200}};
                    pthread_t threads[3];
                    sigaction(SIGALRM, &action, NULL);
                    setitimer(ITIMER_REAL, &often, NULL);
                    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, work, NULL);
                    sigset_t alarms;
                    sigemptyset(&alarms);
                    sigaddset(&alarms, SIGALRM);
                    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
                    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6213).live == 0)
        #expect(profile.sampling.samplesTaken > 1000 && profile.sampling.samplesDropped == 0, "\(profile.sampling)")
    }

    /// A handler that leaves by siglongjmp: the interrupted loop allocates nothing, its iterations do.
    @Test func longJumpsOutOfAHandler() throws {
        let profile = try profile(
            "#include <setjmp.h>\n" + Self.guarded + """
                static sigjmp_buf back;
                static void handler(int number) { keep = malloc(6211); siglongjmp(back, 1); }
                int main(void) {
                    volatile int jumps = 0;
                    signal(SIGUSR1, handler);
                    while (jumps < 500)
                        if (sigsetjmp(back, 1) == 0) { keep = malloc(6213); raise(SIGUSR1); } else jumps++;
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6211).live == 500)
        #expect(profile.blocks(ofSize: 6213).live == 500)
    }

    @Test func cancelledThreads() throws {
        let profile = try profile(
            Self.guarded + """
                static void release(void *block) { free(block); }
                static void *work(void *unused) {
                    void *block = malloc(6215);
                    pthread_cleanup_push(release, block);
                    for (;;) { free(malloc(6217)); pthread_testcancel(); }
                    pthread_cleanup_pop(1);
                    return NULL;
                }
                int main(void) {
                    for (int i = 0; i < 300; i++) {
                        pthread_t thread;
                        void *ending;
                        if (pthread_create(&thread, NULL, work, NULL) || pthread_cancel(thread)) return 1;
                        pthread_join(thread, &ending);
                        if (ending != PTHREAD_CANCELED) return 2;
                    }
                    keep = malloc(6219);
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6215).live == 0)
        #expect(profile.blocks(ofSize: 6217).live == 0)
        #expect(profile.blocks(ofSize: 6219).live == 1)
    }

    @Test func thousandsOfThreadsInTurn() throws {
        let profile = try profile(
            Self.guarded + """
                static void *work(void *block) { free(block); return malloc(6221); }
                int main(void) {
                    for (int i = 0; i < 5000; i++) {
                        pthread_t thread;
                        if (pthread_create(&thread, NULL, work, malloc(6223))) return 1;
                        pthread_join(thread, NULL);
                    }
                    return 0;
                }
                """)
        #expect(profile.blocks(ofSize: 6221).live == 5000)
        #expect(profile.blocks(ofSize: 6223).live == 0)
    }
}
