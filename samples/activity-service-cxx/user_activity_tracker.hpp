#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

/// What one user did at one moment.
struct Event {
    std::uint64_t id;
    std::chrono::system_clock::time_point time;
    std::array<char, 24> action;
    std::array<char, 40> page;
    std::array<char, 48> client;
};

/// Remembers what every user did, and this is the leak: nothing ever takes an event out again.
class UserActivityTracker {
  public:
    /// What a list node asks the allocator for: the event and two links.
    static constexpr std::size_t bytesPerEvent = sizeof(Event) + 2 * sizeof(void *);

    /// Newest events kept of each user. The fixed service sets a bound.
    static inline std::size_t eventsKept = std::numeric_limits<std::size_t>::max();

    [[gnu::noinline]] static void record(const std::string &user, std::string_view action) {
        Event event{nextId(), std::chrono::system_clock::now(), {}, {}, {}};
        action.copy(event.action.data(), event.action.size() - 1);

        std::lock_guard guard(mutex);
        auto &events = eventCache[user];
        events.push_back(event);
        liveEvents++;
        if (events.size() > eventsKept) {
            events.pop_front();
            liveEvents--;
        }
    }

    struct Truth {
        std::size_t events;
        /// Requested from the allocator and still allocated: list nodes, map nodes and the map's buckets
        /// (users' names are short enough to need no memory of their own).
        std::size_t bytes;
    };

    static Truth truth() {
        using MapNode = std::pair<std::pair<const std::string, std::list<Event>>, std::array<void *, 2>>;
        std::lock_guard guard(mutex);
        return {liveEvents, liveEvents * bytesPerEvent + eventCache.size() * sizeof(MapNode) +
                                eventCache.bucket_count() * sizeof(void *)};
    }

  private:
    static inline std::mutex mutex;
    static inline std::unordered_map<std::string, std::list<Event>> eventCache;
    static inline std::size_t liveEvents = 0;

    static std::uint64_t nextId() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }
};
