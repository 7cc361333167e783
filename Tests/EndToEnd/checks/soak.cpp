// What soak.py runs: eight threads that allocate in every way, with signals at 1 kHz, exceptions, short threads, forks,
// and libraries that come and go. The sums depend on the rounds alone, so that they are the same whoever watches.
//
//     soak LIBRARY SECONDS      as many rounds as fit; then `rounds N` and the checksum
//     soak LIBRARY 0 ROUNDS     that many rounds in each thread
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

constexpr int threadCount = 8;
static std::atomic<long> signals, failures;
static std::chrono::steady_clock::time_point deadline;
static const char *libraryPath;
constexpr int keptCount = 64; // by each thread, never touched: enough that also coarse sampling sees them
static void *volatile kept[threadCount][keptCount];

static void onAlarm(int) { signals++; }

struct Random {
    uint64_t state;
    uint64_t next(uint64_t below) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return state % below;
    }
};

static void expect(bool good, const char *what) {
    if (good) return;
    failures++;
    std::fprintf(stderr, "wrong: %s\n", what);
}

struct alignas(128) Wide { unsigned char bytes[640]; };

// A block filled with its own pattern, by one of the ways in; the sum of what it holds when it is freed.
static uint64_t block(Random &random) {
    const size_t size = 1 + random.next(3000);
    const unsigned char pattern = (unsigned char)random.next(256);
    const unsigned way = (unsigned)random.next(8);
    void *p = nullptr;
    switch (way) {
    case 0: p = std::malloc(size); break;
    case 1: p = std::calloc(1, size); break;
    case 2: expect(posix_memalign(&p, 64, size) == 0, "posix_memalign"); break;
    case 3: p = aligned_alloc(256, (size + 255) & ~(size_t)255); break;
    case 4: p = ::operator new(size); break;
    case 5: p = new char[size]; break;
    case 6: p = ::operator new(size, std::align_val_t(128)); break;
    default: p = std::malloc(1); break;
    }
    if (way == 1) for (size_t i = 0; i < size; i++) expect(((unsigned char *)p)[i] == 0, "calloc is zero");
    if (way == 7) {
        for (size_t now = 2; now < size; now *= 2) p = std::realloc(p, now);
        p = reallocarray(p, size, 1);
    }
    std::memset(p, pattern, size);
    uint64_t sum = size;
    for (size_t i = 0; i < size; i += 97) sum += ((unsigned char *)p)[i];
    switch (way) {
    case 4: ::operator delete(p, size); break;
    case 5: delete[] (char *)p; break;
    case 6: ::operator delete(p, std::align_val_t(128)); break;
    default: std::free(p); break;
    }
    return sum;
}

static uint64_t thrown(Random &random, int depth) {
    std::string text(40 + random.next(100), 'x');
    if (depth == 0) throw std::runtime_error(text);
    return thrown(random, depth - 1);
}

static uint64_t exception(Random &random) {
    try {
        return thrown(random, (int)random.next(20));
    } catch (const std::exception &error) {
        return std::strlen(error.what());
    }
}

static uint64_t library(Random &random) {
    void *handle = dlopen(libraryPath, RTLD_NOW | RTLD_LOCAL);
    expect(handle != nullptr, "dlopen");
    if (!handle) return 0;
    auto work = (uint64_t (*)(uint64_t))dlsym(handle, "work");
    const uint64_t sum = work(random.next(100));
    dlclose(handle);
    return sum;
}

// The child allocates too: only with what a forked child of many threads may use.
static uint64_t forked(Random &random) {
    const int number = (int)random.next(100);
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++) std::free(std::malloc(100 + i));
        _exit(number);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0) {}
    expect(child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == number, "fork");
    return (uint64_t)number;
}

static uint64_t shortThread(Random &random) {
    uint64_t sum = 0;
    const uint64_t seed = 1 + random.next(1000);
    std::thread([&] {
        Random own{seed};
        for (int i = 0; i < 20; i++) sum += block(own);
    }).join();
    return sum;
}

// Containers, and a large block from mmap that grows in place or moves.
static uint64_t collections(Random &random) {
    std::map<uint64_t, std::string> map;
    for (int i = 0; i < 50; i++) map[random.next(1000)] += std::to_string(i);
    auto wide = std::vector<Wide>(3);
    void *large = std::malloc(400'000);
    std::memset(large, 7, 400'000);
    large = std::realloc(large, 900'000 + random.next(100'000));
    const uint64_t sum = map.size() + ((unsigned char *)large)[399'999] + (uintptr_t)wide.data() % alignof(Wide);
    std::free(large);
    return sum;
}

static uint64_t round(Random &random, uint64_t number) {
    uint64_t sum = 0;
    for (int i = 0; i < 60; i++) sum += block(random);
    for (int i = 0; i < 3; i++) sum += exception(random);
    sum += collections(random);
    if (number % 4 == 0) sum += library(random);
    if (number % 4 == 1) sum += shortThread(random);
    if (number % 16 == 2) sum += forked(random);
    return sum;
}

static void work(int me, uint64_t rounds, std::atomic<uint64_t> *sum, std::atomic<uint64_t> *done) {
    uint64_t own = 0;
    uint64_t number = 0;
    for (; rounds ? number < rounds : std::chrono::steady_clock::now() < deadline; number++) {
        Random random{number * 8 + (uint64_t)me + 1};
        own = own * 31 + round(random, number);
    }
    for (auto &block : kept[me]) block = std::malloc(1'234'567);
    *sum = own;
    *done = number;
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    libraryPath = arguments[1];
    deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds((long)(std::atof(arguments[2]) * 1000));
    struct sigaction action = {};
    action.sa_handler = onAlarm;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    const itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &often, nullptr);
    std::atomic<uint64_t> sums[threadCount] = {}, done[threadCount] = {};
    std::vector<std::thread> threads;
    for (int i = 0; i < threadCount; i++) {
        // A thread may have a number of rounds of its own: those that a first run had time for.
        const uint64_t rounds = count > 3 ? std::strtoull(arguments[3 + (count > 4 ? i : 0)], nullptr, 10) : 0;
        threads.emplace_back(work, i, rounds, &sums[i], &done[i]);
    }
    for (auto &thread : threads) thread.join();
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    std::printf("rounds");
    for (auto &n : done) std::printf(" %llu", (unsigned long long)n.load());
    std::printf("\nsums");
    for (auto &n : sums) std::printf(" %llx", (unsigned long long)n.load());
    std::printf("\n");
    expect(signals > 0, "signals");
    return failures ? 1 : 0;
}
