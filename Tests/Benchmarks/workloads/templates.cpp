// A large translation unit: many headers of the standard library, and templates over many distinct types.
#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#ifndef TYPES
#define TYPES 16
#endif

template <int N>
struct Record {
    std::array<int, N + 1> numbers{};
    std::string name = "record-" + std::to_string(N);
    bool operator<(const Record& other) const { return std::tie(name, numbers) < std::tie(other.name, other.numbers); }
};

template <int N>
struct Stage {
    std::map<std::string, std::vector<Record<N>>> records;
    std::unordered_map<int, std::shared_ptr<Record<N>>> byNumber;
    std::set<Record<N>> sorted;
    std::variant<std::monostate, Record<N>, std::deque<Record<N>>> latest;

    int run(int seed) {
        std::vector<Record<N>> made(static_cast<size_t>(seed));
        std::sort(made.begin(), made.end());
        for (auto& record : made) {
            records[record.name].push_back(record);
            byNumber.emplace(record.numbers[0], std::make_shared<Record<N>>(record));
            sorted.insert(record);
        }
        latest = made.empty() ? decltype(latest){} : decltype(latest){made.front()};
        std::function<int(int)> add = [this](int value) { return value + static_cast<int>(records.size()); };
        return std::visit([&](auto& value) { return add(static_cast<int>(sizeof value)); }, latest);
    }
};

template <int... N>
int runAll(std::integer_sequence<int, N...>) {
    return (Stage<N>{}.run(N) + ...);
}

int main() {
    std::cout << runAll(std::make_integer_sequence<int, TYPES>{}) << std::regex_match("a1", std::regex("[a-z][0-9]"));
}
