#pragma once

#include "neighbours.hpp"
#include "options.hpp"
#include "user_activity_tracker.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

/// A service that answers simulated requests and tracks what its users do.
class ActivityService {
  public:
    explicit ActivityService(const Options &options) : options(options) {
        if (!options.leak) UserActivityTracker::eventsKept = 20;
    }

    /// Serves until the time is up or somebody asks to stop, and prints every second, and at the end, what the
    /// tracker holds.
    void run() {
        std::signal(SIGTERM, [](int) { stopRequested = true; });
        std::signal(SIGINT, [](int) { stopRequested = true; });

        std::vector<std::thread> workers;
        for (int i = 0; i < options.threads; i++) workers.emplace_back([this, i] { serve(i); });
        for (int second = 1; !stopRequested; second++) {
            sleepUntil(start + std::chrono::seconds(second));
            printTruth();
            if (options.duration > 0 && second >= options.duration) stopRequested = true;
        }
        for (auto &worker : workers) worker.join();
        printTruth();
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr double requestsPerSecond = 10'000;
    static constexpr std::uint32_t users = 1'000, sessions = 40'000;
    static inline std::atomic<bool> stopRequested{false};

    const Options options;
    ProductCatalogue catalogue;
    SessionCache sessionCache;
    MailQueue mailQueue;
    const Clock::time_point start = Clock::now();

    /// One worker's share of the traffic. What is due follows from the clock alone: whatever came late is made up
    /// for, so that the rate holds exactly.
    void serve(int worker) {
        const double requestRate = requestsPerSecond / options.threads;
        const double eventsPerRequest = options.rate / UserActivityTracker::bytesPerEvent / requestsPerSecond;
        std::minstd_rand random(worker + 1);
        std::uint64_t requests = 0, events = 0;
        while (!stopRequested) {
            const auto due = static_cast<std::uint64_t>(elapsed() * requestRate);
            while (requests < due && !stopRequested) {
                requests++;
                handleRequest(random);
                for (; events < requests * eventsPerRequest; events++) trackUser(random);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    void handleRequest(std::minstd_rand &random) {
        sessionCache.use(random() % sessions);
        renderResponse(catalogue.find(random()), random());
        mailQueue.follow(elapsed());
    }

    /// A few users do most of what is done.
    void trackUser(std::minstd_rand &random) {
        const double share = random() / static_cast<double>(random.max());
        UserActivityTracker::record("user-" + std::to_string(int(users * share * share)), "view");
    }

    void printTruth() const {
        const auto truth = UserActivityTracker::truth();
        std::printf("seconds=%.3f events=%zu tracker_bytes=%zu\n", elapsed(), truth.events, truth.bytes);
        std::fflush(stdout);
    }

    double elapsed() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

    static void sleepUntil(Clock::time_point time) {
        while (Clock::now() < time && !stopRequested) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
};
