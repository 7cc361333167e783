#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

// Healthy memory of the kinds that a leak hides behind.

/// Loaded at the start and kept for ever: 100,000 products of 480 bytes, 48 MB.
class ProductCatalogue {
  public:
    ProductCatalogue() {
        products.reserve(count);
        for (std::size_t id = 0; id < count; id++) products.emplace_back(bytesPerProduct, static_cast<char>('a' + id % 26));
    }

    const std::string &find(std::size_t id) const { return products[id % count]; }

  private:
    static constexpr std::size_t count = 100'000, bytesPerProduct = 479;
    std::vector<std::string> products;
};

/// Keeps the 20,000 sessions used last, 2 KB each: full after three seconds of traffic, and always changing.
class SessionCache {
  public:
    static constexpr std::size_t capacity = 20'000, bytesPerSession = 2'000;

    /// Length of the session's state.
    std::size_t use(std::uint32_t id) {
        std::lock_guard guard(mutex);
        if (auto found = index.find(id); found != index.end()) {
            sessions.splice(sessions.begin(), sessions, found->second);
        } else {
            if (sessions.size() == capacity) {
                index.erase(sessions.back().first);
                sessions.pop_back();
            }
            sessions.emplace_front(id, std::string(bytesPerSession, 's'));
            index[id] = sessions.begin();
        }
        return sessions.front().second.size();
    }

  private:
    using Sessions = std::list<std::pair<std::uint32_t, std::string>>;
    std::mutex mutex;
    Sessions sessions; // used last comes first
    std::unordered_map<std::uint32_t, Sessions::iterator> index;
};

/// Letters that wait to be sent: the queue grows for two seconds and is worked off in the next two.
class MailQueue {
  public:
    void follow(double seconds) {
        constexpr double period = 4, peak = 4'000;
        const double phase = seconds / period - static_cast<std::uint64_t>(seconds / period);
        const auto length = static_cast<std::size_t>(peak * 2 * std::min(phase, 1 - phase));

        std::lock_guard guard(mutex);
        while (letters.size() < length) letters.emplace_back(1'000, 'm');
        while (letters.size() > length) letters.pop_front();
    }

  private:
    std::mutex mutex;
    std::deque<std::string> letters;
};

/// One response: a buffer of 1 to 16 KB that lives as long as the request.
[[gnu::noinline]] inline std::size_t renderResponse(const std::string &product, std::uint32_t random) {
    std::vector<char> response(1'000 + random % 15'000);
    std::copy_n(product.begin(), std::min(product.size(), response.size()), response.begin());
    return response.size();
}
