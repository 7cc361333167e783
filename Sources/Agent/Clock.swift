import Glibc

/// The two clocks the agent needs: one that never jumps to decide by, one that people read.
enum Clock {
    /// Seconds of CLOCK_MONOTONIC.
    static func monotonic() -> Double { seconds(CLOCK_MONOTONIC) }
    /// Seconds since 1970.
    static func unix() -> Double { seconds(CLOCK_REALTIME) }

    static func monotonicNanoseconds() -> UInt64 { UInt64(monotonic() * 1e9) }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// `20261121T231422.087Z`: names of files whose order is that of time.
    static func stamp(_ unix: Double) -> String {
        var time = time_t(unix)
        var parts = tm()
        gmtime_r(&time, &parts)
        func padded(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = padded(parts.tm_year + 1900, 4) + padded(parts.tm_mon + 1, 2) + padded(parts.tm_mday, 2)
        let clock = padded(parts.tm_hour, 2) + padded(parts.tm_min, 2) + padded(parts.tm_sec, 2)
        return "\(day)T\(clock).\(padded(Int32((unix - unix.rounded(.down)) * 1000), 3))Z"
    }
}
