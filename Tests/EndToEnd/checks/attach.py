#!/usr/bin/env -S python3 -B
"""`heaptide attach` and `--detach` on running programs: none of them may notice.

Programs that check themselves, redis-server under load and the Swift sample are attached and detached again and again;
heaptide is killed half-way; and what cannot be attached is refused with the reason and left alone.

    Tests/EndToEnd/checks/attach.py [CYCLES] [KILLS]     default 5, 20
"""

import pwd
import random
import threading

from support import *

CYCLES = int(sys.argv[1]) if len(sys.argv) > 1 else 5
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 20


def build(name, source, *flags):
    (work / f"{name}.c").write_text(source)
    run("gcc", "-O1", "-g", "-pthread", "-o", work / name, work / f"{name}.c", "-lm", *flags, check=True)
    return work / name


def attach(pid, *options, **more):
    return run(HEAPTIDE, "attach", pid, *options, **more)


def is_free(pid):
    """None of its threads is stopped or traced."""
    texts = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            texts.append((task / "status").read_text())
        except OSError:
            pass  # it ended
    return texts and all("TracerPid:\t0\n" in text and not re.search(r"State:\t[tT]", text) for text in texts)


def start_ready(*command, **options):
    """A program that writes `ready` when it is."""
    process = start(*command, log=(log := work / f"log-{time.monotonic_ns()}"), **options)
    process.log = log
    wait_for(lambda: log.read_text().startswith("ready") or process.poll() is not None, 20, pause=0.01)
    return process


def cycle(name, process, count=CYCLES, interval="4KiB"):
    folder, failures = work / f"ledgers-{name}", []
    for _ in range(count):
        for options in (["--ledgers", folder, "--interval", interval], ["--detach"]):
            result = attach(process.pid, *options)
            if result.returncode != 0:
                failures.append(result.stderr.strip())
            time.sleep(0.02)
    check(not failures, f"{name}: attached and detached {count} times{''.join(f'; {text}' for text in failures[:3])}")
    check(process.poll() is None and is_free(process.pid), f"{name}: runs, neither traced nor stopped")
    check(name == "registers" or ledgers(folder), f"{name}: was recorded")


# Programs that check themselves: on SIGTERM they write `fine` and end with status 0, or `damaged` and what.

#: A single thread that is nearly always in the allocator, and holds patterns in its blocks.
MALLOC_LOOP = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static volatile sig_atomic_t ended;
static void on_term(int number) { ended = 1; }
int main(void) {
    static unsigned char *blocks[512]; static size_t sizes[512];
    unsigned long random = 88172645463325252ul;
    signal(SIGTERM, on_term);
    puts("ready"); fflush(stdout);
    while (!ended) {
        random ^= random << 13; random ^= random >> 7; random ^= random << 17;
        size_t i = random % 512, size = 1 + (random >> 20) % 2000;
        if (blocks[i] && (blocks[i][0] != (unsigned char)i || blocks[i][sizes[i] - 1] != (unsigned char)i))
            return puts("damaged: a block"), 1;
        if (random >> 60 < 8) { free(blocks[i]); blocks[i] = malloc(size); }
        else blocks[i] = realloc(blocks[i], size);
        memset(blocks[i], (int)i, sizes[i] = size);
    }
    return puts("fine"), 0;
}
"""

#: All registers of which the compiler knows nothing, with the rounding modes and the direction flag.
REGISTERS = """
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
static volatile sig_atomic_t ended;
static void on_term(int number) { ended = 1; }
int main(void) {
    signal(SIGTERM, on_term);
    fesetround(FE_UPWARD);
    puts("ready"); fflush(stdout);
    while (!ended) {
        uint64_t out[7]; long double pi; uint32_t mode; uint16_t control;
        __asm__ volatile(
            "mov $0x1111, %%rax; mov $0x2222, %%rbx; mov $0x3333, %%r12; mov $0x4444, %%r11; mov $0x5555, %%rcx\\n"
            "movq %%rcx, %%xmm15; fldpi; mov $200000, %%r8; std\\n"
            "1: dec %%r8; jnz 1b\\n"
            "pushfq; pop %%r9; cld\\n"
            "mov %%rax, (%0); mov %%rbx, 8(%0); mov %%r12, 16(%0); mov %%r11, 24(%0); mov %%rcx, 32(%0)\\n"
            "mov %%r9, 40(%0); movq %%xmm15, 48(%0); fstpt (%1)\\n"
            :: "r"(out), "r"(&pi) : "rax", "rbx", "rcx", "r8", "r9", "r11", "r12", "xmm15", "memory", "cc");
        __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mode), "=m"(control));
        if (out[0] != 0x1111 || out[1] != 0x2222 || out[2] != 0x3333 || out[3] != 0x4444 || out[4] != 0x5555
            || !(out[5] & 0x400) || out[6] != 0x5555 || pi < 3.14159265358979L || pi > 3.1415926535898L
            || (mode & 0x6000) != 0x4000 || (control & 0xc00) != 0x800)
            return puts("damaged: a register"), 1;
    }
    return puts("fine"), 0;
}
"""

#: Threads that wait in every way: no wait may end early or with an error, no signal mask may change.
WAITS = """
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t ended;
static int ring[2][2], event[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long turn, rounds;
static sem_t semaphore;
static void on_term(int number) { ended = 1; }
static void damaged(const char *what) { printf("damaged: %s (%s)\\n", what, strerror(errno)); fflush(stdout); _exit(1); }
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000l + t.tv_nsec; }
static void *pass_on(void *end) { /* a token between two pipes */
    long me = (long)end; int token;
    while (!ended) {
        if (read(ring[me][0], &token, sizeof token) != sizeof token) damaged("read");
        token++;
        if (write(ring[!me][1], &token, sizeof token) != sizeof token) damaged("write");
        free(malloc((size_t)(token & 1023)));
        if (me == 0) { rounds++; usleep(100); }
    }
    return NULL;
}
static void *take_turns(void *which) {
    while (!ended) {
        pthread_mutex_lock(&mutex);
        while (turn % 2 != (long)which && !ended) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
            int status = pthread_cond_timedwait(&changed, &mutex, &until);
            if (status != 0 && status != ETIMEDOUT) damaged("pthread_cond_timedwait");
        }
        turn++;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
        usleep(50);
    }
    return NULL;
}
static void *sleeps(void *unused) {
    while (!ended) {
        long began = now();
        struct timespec time = {0, 30000000};
        if (nanosleep(&time, NULL) != 0) damaged("nanosleep");
        if (now() - began < 30000000) damaged("nanosleep was short");
        began = now();
        if (poll(NULL, 0, 20) != 0) damaged("poll");
        if (now() - began < 19000000) damaged("poll was short");
    }
    return NULL;
}
static void *waits_for_events(void *unused) {
    int set = epoll_create1(0);
    struct epoll_event one = {.events = EPOLLIN};
    if (epoll_ctl(set, EPOLL_CTL_ADD, event[0], &one) != 0) damaged("epoll_ctl");
    while (!ended) {
        char byte;
        if (epoll_wait(set, &one, 1, -1) != 1) damaged("epoll_wait");
        if (read(event[0], &byte, 1) != 1) damaged("read of an event");
        if (sem_post(&semaphore) != 0) damaged("sem_post");
    }
    return NULL;
}
int main(void) {
    pthread_t threads[6]; sigset_t mask;
    static sigset_t other, before; /* zeroed: glibc and the kernel write 64 bits of them only */
    signal(SIGTERM, on_term);
    if (pipe(ring[0]) || pipe(ring[1]) || pipe(event) || sem_init(&semaphore, 0, 0)) damaged("pipe");
    sigemptyset(&mask); sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    pthread_create(&threads[0], NULL, pass_on, (void *)0);
    pthread_create(&threads[1], NULL, pass_on, (void *)1);
    pthread_create(&threads[2], NULL, take_turns, (void *)0);
    pthread_create(&threads[3], NULL, take_turns, (void *)1);
    pthread_create(&threads[4], NULL, sleeps, NULL);
    pthread_create(&threads[5], NULL, waits_for_events, NULL);
    int token = 0;
    if (write(ring[0][1], &token, sizeof token) != sizeof token) damaged("write");
    puts("ready"); fflush(stdout);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    for (long events = 0; !ended; events++) {
        usleep(3000);
        if (write(event[1], "e", 1) != 1) damaged("write of an event");
        while (sem_wait(&semaphore) != 0) if (errno != EINTR || !ended) damaged("sem_wait");
        pthread_sigmask(SIG_BLOCK, NULL, &other);
        if (memcmp(&other, &before, sizeof other) != 0) damaged("the signal mask");
    }
    if (rounds == 0 || turn == 0) damaged("nothing happened");
    puts("fine"); fflush(stdout);
    _exit(0);
}
"""


def self_checking(name, source):
    process = start_ready(build(name, source))
    cycle(name, process)
    status = stop(process)
    said = process.log.read_text().split("\n")[1:2]
    check(status == 0 and said == ["fine"], f"{name}: finds nothing damaged (status {status}, {said})")


# Servers


def redis():
    port = free_port()
    server = start("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", work)
    wait_for(lambda: is_listening(port), 20)
    load = start("redis-benchmark", "-p", port, "-n", 1_000_000_000, "-r", 10_000, "-q", "-t", "set,lpush")
    ended, answers, wrong = threading.Event(), [0, 0], []

    def client(number):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
            replies = link.makefile("rb")
            while not ended.is_set():
                link.sendall(b"INCR client-%d\r\n" % number)
                answers[number] += 1
                if (reply := replies.readline()) != b":%d\r\n" % answers[number]:
                    wrong.append(reply)
                    return

    clients = [threading.Thread(target=client, args=[number]) for number in range(2)]
    for thread in clients:
        thread.start()
    cycle("redis", server, interval="64KiB")
    ended.set()
    for thread in clients:
        thread.join()
    check(load.poll() is None, "redis: its load has lost no connection")
    check(not wrong and min(answers) > 0, f"redis: {sum(answers):,} requests, each answered once and in order {wrong[:3]}")
    stop(load)
    check(stop(server) == 0, "redis: ends in order")


def swift_service():
    log = work / "activity.log"
    process = start(BUILD / "activity-service", "--rate", "512KiB", "--threads", 2, log=log)
    check(wait_for(lambda: Truth(log).seconds >= 1, 20), "activity-service: serves")
    cycle("activity-service", process, interval="64KiB")
    until = Truth(log).seconds + 2
    wait_for(lambda: Truth(log).seconds >= until or process.poll() is not None, 20)
    off = deviation(Truth(log).rate(since=1.0), 512 * 1024)
    check(abs(off) < 0.2, f"activity-service: serves all that is due ({off:+.1%}, arrays that grow included)")
    check(stop(process) == 0, "activity-service: ends in order")


# heaptide is killed


def killed_half_way():
    process = start_ready(build("killed-waits", WAITS))
    folder, seen, free = work / "ledgers-killed", [], True
    chance = random.Random(7)
    for number in range(KILLS):
        options = ["--detach"] if number % 2 else ["--ledgers", folder, "--interval", "4KiB"]
        command = [HEAPTIDE, "attach", str(process.pid), *options]
        heaptide = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.005, 0.06))
        heaptide.kill()
        seen.append(heaptide.wait())
        free = free and is_free(process.pid)
        time.sleep(0.02)
    check(seen.count(-9) >= KILLS / 4, f"killed: {seen.count(-9)} of {KILLS} were killed before they were done")
    check(free, f"killed: after none of {KILLS} SIGKILLs the target is stopped or traced")
    check(process.poll() is None, "killed: the target runs")
    attach(process.pid, "--detach")
    check(attach(process.pid, "--ledgers", folder).returncode == 0, "killed: it can be attached afterwards")
    status = stop(process)
    check(status == 0, f"killed: the target finds nothing damaged (status {status}, {process.log.read_text()[-60:]!r})")


# Refusals

SLEEPER = '#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts("ready"); fflush(stdout); for (;;) pause(); }\n'

#: Its only thread waits in a signal handler, which may have interrupted anything.
HANDLER = """
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static void on_signal(int number) { puts("ready"); fflush(stdout); for (;;) pause(); }
int main(void) { signal(SIGUSR1, on_signal); raise(SIGUSR1); return 0; }
"""

#: Traces a process, so that nobody else can.
TRACER = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int count, char **arguments) {
    if (ptrace(PTRACE_SEIZE, atoi(arguments[1]), 0, 0) != 0) return 1;
    puts("ready"); fflush(stdout);
    for (;;) pause();
}
"""


def refused(name, pid, words, *options, **more):
    result = attach(pid, *options, **more)
    one_line = result.stderr.count("\n") == 1 and not result.stdout
    check(result.returncode == 3 and one_line and words in result.stderr, f"{name}: refused, {result.stderr.strip()}")


def refusals():
    sleeper = build("sleeper", SLEEPER)
    process = start_ready(sleeper)
    ended = start(sleeper)
    stop(ended)
    refused("ended", ended.pid, "does not exist")
    refused("not attached", process.pid, "no probe attached", "--detach")
    refused("no folder", process.pid, "there is no /absent", "--ledgers", "/absent/folder")
    refused("no probe", process.pid, "there is no probe", "--probe", "/absent.so")

    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: not is_free(process.pid), 10)
    refused("stopped", process.pid, "is stopped")
    process.send_signal(signal.SIGCONT)

    tracer = start_ready(build("tracer", TRACER), process.pid)
    refused("traced", process.pid, "is being traced by process")
    stop(tracer, signal.SIGKILL)

    handler = start_ready(build("handler", HANDLER))
    refused("in a signal handler", handler.pid, "no thread came to a place where it may be interrupted")
    check(handler.poll() is None and is_free(handler.pid), "in a signal handler: it is left as it was")

    damaged = work / "libheaptide-probe.so"
    damaged.write_bytes(PROBE.read_bytes()[:3000])
    refused("damaged probe", process.pid, "is damaged", "--probe", damaged)
    absent = "int absent(void);\nint present(void) { return absent(); }\n"
    strange = build("libheaptide-probe-strange.so", absent, "-shared", "-fPIC")
    refused("strange probe", process.pid, "undefined symbol: absent", "--probe", strange)
    refused("no probe's name", process.pid, "is not named", "--probe", sleeper)
    check(process.poll() is None and is_free(process.pid), "refusals leave the program as it was")

    for compiler, name, flags, words in [
        ("gcc", "static", ["-static"], "is linked statically"), ("musl-gcc", "musl", [], "does not use glibc"),
    ]:
        if not shutil.which(compiler):
            note(f"no {compiler}: {name} programs are not tried")
            continue
        run(compiler, *flags, "-o", work / name, work / "sleeper.c", check=True)
        refused(name, start_ready(work / name).pid, words)

    refused("preloaded", start_ready(sleeper, env=with_probe(work / "ledgers-preloaded")).pid, "was started with the probe")
    if os.geteuid() == 0:
        as_another_user(sleeper, process)
        in_another_root(sleeper)


def as_another_user(sleeper, process):
    nobody = pwd.getpwnam("nobody")
    result = attach(process.pid, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], check=False)
    if result.returncode == 3:  # else nobody may not even run it
        check("may not be traced by this user" in result.stderr, f"another user: refused, {result.stderr.strip()}")
    work.chmod(0o755)
    privileged = work / "privileged"
    shutil.copy(sleeper, privileged)
    os.chown(privileged, 0, 0)
    privileged.chmod(0o4755)
    other = start_ready(privileged, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    refused("setuid", other.pid, "runs with other rights than its caller")


def in_another_root(sleeper):
    """A root folder with nothing in it but the program and its libraries, as in a small container."""
    root = work / "root"
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", sleeper).stdout)
    for file in [str(sleeper), *libraries]:
        place = Path(f"{root}{file}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    (root / "tmp").mkdir(exist_ok=True)
    process = start_ready("chroot", root, sleeper)
    refused("another root", process.pid, "sees other files")
    inside = f"/proc/{process.pid}/root/tmp/{PROBE.name}"
    shutil.copy(PROBE, inside)
    result = attach(process.pid, "--probe", inside)
    check(result.returncode == 0, f"another root: attached with a probe in it {result.stderr.strip()}")


self_checking("malloc-loop", MALLOC_LOOP)
self_checking("registers", REGISTERS)
self_checking("waits", WAITS)
redis()
swift_service()
killed_half_way()
refusals()
finish()
