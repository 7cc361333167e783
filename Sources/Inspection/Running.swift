import Glibc

// What tells whether a ledger's process still runs; rooms that read /proc in earnest use LinuxMemory.

/// As a ledger has it: 32 hexadecimal digits.
func bootID() -> String? {
    text("/proc/sys/kernel/random/boot_id").map { $0.filter(\.isHexDigit).lowercased() }
}

/// Field 22 of /proc/PID/stat; nil where there is no such process, or a dead one that waits for its parent.
func startTicks(of pid: Int32) -> UInt64? {
    // The name before it may hold anything, also spaces and parentheses.
    guard let line = text("/proc/\(pid)/stat"), let end = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
    return UInt64(fields[19])
}

func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

private func text(_ path: String) -> String? {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = read(file, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
}
