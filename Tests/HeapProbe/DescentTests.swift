import HeapProfile
import TestSupport
import Testing

/// Every way to become two processes, or another one.
@Suite struct DescentTests {
    private static let head = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <pthread.h>
        #include <sched.h>
        #include <signal.h>
        #include <spawn.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        extern char **environ;
        void *volatile keep;

        """

    private func run(_ body: String, count: Int) throws -> [HeapProfile] {
        let probed = try Probed(Self.head + body, flags: ["-pthread"])
        let result = try probed.run()
        #expect(result.status == 0 && !result.wasSignalled && result.errors.isEmpty, "\(result)")
        let profiles = try probed.profiles()
        try #require(profiles.count == count)
        return profiles
    }

    @Test(arguments: ["SYS_fork", "SYS_clone, SIGCHLD, 0, 0, 0, 0"]) func aRawSystemCall(call: String) throws {
        let profiles = try run(
            """
            int main(void) {
                keep = malloc(6301);
                if (syscall(\(call)) == 0) { keep = malloc(6303); free(malloc(6305)); syscall(SYS_exit_group, 0); }
                wait(NULL);
                keep = malloc(6307);
                return 0;
            }
            """, count: 2)
        #expect(profiles.map { $0.blocks(ofSize: 6301).live } == [1, 0])
        #expect(profiles.map { $0.blocks(ofSize: 6303).live } == [0, 1])
        #expect(profiles.map { $0.blocks(ofSize: 6307).live } == [1, 0])
    }

    /// Both share memory with their parent until they execute something.
    @Test func vforkAndPosixSpawn() throws {
        let profiles = try run(
            """
            int main(int argc, char **argv) {
                char *again[] = {argv[0], "again", NULL};
                keep = malloc(argc == 1 ? 6311 : 6313);
                if (argc > 1) return 0;
                for (int i = 0; i < 2; i++) {
                    if (vfork() == 0) { execv(argv[0], again); _exit(1); }
                    pid_t pid;
                    if (posix_spawn(&pid, argv[0], NULL, NULL, again, environ)) return 1;
                    for (int status, j = 0; j < 2; j++) if (wait(&status) < 0 || status) return 2;
                }
                keep = malloc(6315);
                return 0;
            }
            """, count: 5)
        #expect(profiles[0].blocks(ofSize: 6311).live == 1)
        #expect(profiles[0].blocks(ofSize: 6315).live == 1)
        #expect(profiles.dropFirst().allSatisfy { $0.blocks(ofSize: 6313).live == 1 })
        #expect(Set(profiles.map(\.process.pid)).count == 5)
    }

    /// Its first allocation is one of a child that shares its memory: the ledger is the worker's all the same.
    @Test func aWorkerThatVforksFirst() throws {
        let profiles = try run(
            """
            int main(void) {
                int status;
                keep = malloc(6341);
                pid_t worker = fork();
                if (worker == 0) {
                    pid_t guest = vfork();
                    if (guest == 0) { keep = malloc(6343); _exit(0); }
                    waitpid(guest, &status, 0);
                    keep = malloc(6345);
                    exit(0);
                }
                return waitpid(worker, &status, 0) == worker ? status : 2;
            }
            """, count: 2)
        #expect(profiles[1].blocks(ofSize: 6345).live == 1)
        #expect(profiles.allSatisfy { $0.process.exited })  // which only its own process writes
    }

    /// Forks twice, leaves its session, folder and descriptors; the parents end at once.
    @Test func aDaemon() throws {
        let profiles = try run(
            """
            int main(void) {
                int ready[2];
                char byte;
                if (pipe(ready)) return 1;
                keep = malloc(6321);
                if (fork() == 0) {
                    setsid();
                    keep = malloc(6323);
                    if (fork() != 0) _exit(0);
                    if (chdir("/")) _exit(1);
                    for (int fd = 0; fd < 3; fd++) { close(fd); open("/dev/null", O_RDWR); }
                    for (int i = 0; i < 9; i++) keep = malloc(6325);
                    _exit(write(ready[1], "!", 1) != 1);
                }
                close(ready[1]);
                return read(ready[0], &byte, 1) == 1 ? 0 : 2;
            }
            """, count: 3)
        #expect(profiles.map { $0.blocks(ofSize: 6321).live } == [1, 0, 0])
        #expect(profiles.map { $0.blocks(ofSize: 6323).live } == [0, 1, 0])
        #expect(profiles.map { $0.blocks(ofSize: 6325).live } == [0, 0, 9])
    }

    /// Forks by several threads at once, while others are in the middle of an allocation.
    @Test func forksAmidAllocations() throws {
        let probed = try Probed(
            Self.head + """
                static volatile int over;
                static void *allocate(void *unused) {
                    for (int i = 0; !over; i++) free(realloc(malloc(100 + i % 900), 2000));
                    return NULL;
                }
                static void *spawn(void *unused) {
                    for (int i = 0; i < 30; i++) {
                        pid_t child = fork();
                        if (child == 0) { alarm(20); for (int j = 0; j < 50; j++) free(malloc(6331)); _exit(0); }
                        int status;
                        if (waitpid(child, &status, 0) != child || status) _exit(1);
                    }
                    return NULL;
                }
                int main(void) {
                    pthread_t threads[6];
                    for (int i = 0; i < 6; i++) pthread_create(&threads[i], NULL, i < 3 ? allocate : spawn, NULL);
                    for (int i = 3; i < 6; i++) pthread_join(threads[i], NULL);
                    over = 1;
                    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
                    keep = malloc(6333);
                    return 0;
                }
                """, flags: ["-pthread"])
        let result = try probed.run(environment: ["HEAPTIDE_LEDGER_SIZE": "2MiB"])
        #expect(result.status == 0 && !result.wasSignalled && result.errors.isEmpty)
        #expect(try probed.profiles().contains { $0.blocks(ofSize: 6333).live == 1 })
    }

    @Test func execByAThread() throws {
        let profiles = try run(
            """
            static char **arguments;
            static void *leave(void *unused) {
                keep = malloc(6341);
                execl(arguments[0], arguments[0], "again", NULL);
                return NULL;
            }
            static void *stay(void *unused) { for (;;) free(malloc(10)); }
            int main(int argc, char **argv) {
                arguments = argv;
                if (argc > 1) { keep = malloc(6343); return 0; }
                pthread_t threads[3];
                for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, stay, NULL);
                pthread_create(&threads[2], NULL, leave, NULL);
                pthread_join(threads[2], NULL);
                return 1;
            }
            """, count: 2)
        #expect(profiles.map { $0.blocks(ofSize: 6341).live } == [1, 0])
        #expect(profiles.map { $0.blocks(ofSize: 6343).live } == [0, 1])
    }
}
