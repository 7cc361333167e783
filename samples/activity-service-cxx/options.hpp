#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

struct Options {
    double rate = 2 << 20;   // bytes a second
    double duration = 0;     // seconds, 0: until it is stopped
    int threads = 2;
    bool leak = true;

    static Options parse(int count, char **arguments) {
        Options options;
        for (int i = 1; i < count; i++) {
            const std::string name = arguments[i];
            if (name == "--help") finish(stdout, 0);
            if (name == "--no-leak") {
                options.leak = false;
                continue;
            }
            if (i + 1 == count) finish(stderr, 2);
            const double value = size(arguments[++i]);
            if (name == "--rate") options.rate = value;
            else if (name == "--duration") options.duration = value;
            else if (name == "--threads" && value >= 1 && value <= 256) options.threads = static_cast<int>(value);
            else finish(stderr, 2);
        }
        return options;
    }

  private:
    /// `2MiB`, `64KiB`, `1.5GiB` or a plain number.
    static double size(const char *text) {
        char *unit = nullptr;
        const double number = std::strtod(text, &unit);
        const double scale = std::string(unit).empty() ? 1
            : unit == std::string("KiB") ? 1 << 10
            : unit == std::string("MiB") ? 1 << 20
            : unit == std::string("GiB") ? 1 << 30 : NAN;
        if (unit == text || !(number * scale >= 0)) finish(stderr, 2);
        return number * scale;
    }

    [[noreturn]] static void finish(FILE *stream, int status) {
        std::fputs("A service that tracks its users' activity and never forgets any of it.\n\n"
                   "  --rate SIZE         bytes leaked per second (default 2MiB)\n"
                   "  --duration SECONDS  stop after this time (default 0: never)\n"
                   "  --threads N         threads that serve the traffic (default 2)\n"
                   "  --no-leak           keep only the newest events of each user\n"
                   "  --help              print this\n\n"
                   "Every second it prints what its tracker really holds, in bytes requested from the allocator.\n",
                   stream);
        std::exit(status);
    }
};
