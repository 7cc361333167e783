// See known-graphs.py.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <malloc.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <vector>

struct Event {
    std::uint64_t id;
    char body[120];
};

struct Lost {
    Lost *next = nullptr;
    char body[80];
};

struct Tracker {
    static std::unordered_map<std::string, std::list<Event>> eventCache;
    static thread_local std::list<Event> recent;
};
std::unordered_map<std::string, std::list<Event>> Tracker::eventCache;
thread_local std::list<Event> Tracker::recent;

namespace {
constexpr int users = 5000, each = 40, threads = 4, own = 3000, lost = 700, cycles = 60, stray = 100;

std::atomic<int> ready;
std::vector<void *> someBlocks;

void fill() {
    for (int user = 0; user < users; user++) {
        auto &events = Tracker::eventCache["user " + std::to_string(user)];
        for (int i = 0; i < each; i++) events.push_back(Event{std::uint64_t(i), {}});
        if (user % 50 == 0) someBlocks.push_back(&events.back());
    }
}

// Words on a stack that happen to be addresses of what others hold.
void work() {
    void *volatile words[stray];
    for (int i = 0; i < stray; i++) words[i] = someBlocks[i % someBlocks.size()];
    for (int i = 0; i < own; i++) Tracker::recent.push_back(Event{std::uint64_t(i), {}});
    ready++;
    for (;;) pause();
}

__attribute__((noinline)) void lose() {
    for (int i = 0; i < lost; i++) *(volatile std::uint64_t *)malloc(200) = 1;
    for (int i = 0; i < cycles; i++) {
        auto a = new Lost, b = new Lost, c = new Lost;
        a->next = b, b->next = c, c->next = a;
        asm volatile("" : : "r"(a) : "memory"); // they are needed
    }
}

__attribute__((noinline)) void wipe() {
    volatile char room[1 << 15];
    for (unsigned i = 0; i < sizeof room; i++) room[i] = 0;
}

std::size_t bytesOfMap() {
    std::size_t bytes = malloc_usable_size(*(void **)&Tracker::eventCache); // its buckets
    for (auto &[user, events] : Tracker::eventCache) {
        bytes += malloc_usable_size((char *)&user - 8);
        for (auto &event : events) bytes += malloc_usable_size((char *)&event - 16);
    }
    return bytes;
}
}

int main(int count, char **) {
    fill();
    if (count < 2) lose();
    wipe();
    for (int i = 0; i < threads; i++) std::thread(work).detach();
    while (ready < threads) usleep(1000);
    std::printf(
        "{\"holder\": \"Tracker::eventCache\", \"container\": \"std::unordered_map or set\", \"count\": %zu, \"bytes\": %zu, "
        "\"own\": \"Tracker::recent\", \"owners\": %d, \"ownBlocks\": %d, \"lost\": %d, \"inCycles\": %d}\n",
        Tracker::eventCache.size(), bytesOfMap(), threads, own, count < 2 ? lost : 0, count < 2 ? 3 * cycles : 0);
    std::fflush(stdout);
    char line;
    return read(0, &line, 1);
}
