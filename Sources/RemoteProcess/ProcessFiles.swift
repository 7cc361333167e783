package import Glibc

/// A file of /proc as text; nil where it cannot be read. At most 16 MiB.
package func text(of path: String) -> String? { bytes(of: path).map { String(decoding: $0, as: UTF8.self) } }

package func bytes(of path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while all.count < 16 << 20 {
        let count = read(file, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return nil }
        guard count > 0 else { break }
        all += chunk[..<count]
    }
    return all
}

package func linkTarget(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
}

package func fileStatus(_ path: String) -> stat? {
    var status = stat()
    return stat(path, &status) == 0 ? status : nil
}

/// The fields of /proc/PID/status (or a thread's), by name.
package func statusFields(_ path: String) -> [Substring: Substring]? {
    guard let text = text(of: path) else { return nil }
    var fields: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { continue }
        fields[parts[0]] = parts[1].drop { $0 == "\t" || $0 == " " }
    }
    return fields
}

/// Filters of system calls that a thread has, by its status: more than any number in strict mode, and where the kernel does
/// not count them (before Linux 5.9).
package func systemCallFilters(_ status: [Substring: Substring]) -> Int {
    switch status["Seccomp"] {
    case nil, "0": 0
    case "1": .max
    default: status["Seccomp_filters"].flatMap { Int($0) } ?? .max
    }
}

/// Filters that this process has as well: those of a container that it is in.
package func ownSystemCallFilters() -> Int { statusFields("/proc/self/status").map(systemCallFilters) ?? 0 }

/// The threads of a process, its first one first.
package func threads(of pid: Int32) -> [Int32] {
    guard let folder = opendir("/proc/\(pid)/task") else { return [] }
    defer { closedir(folder) }
    var threads: [Int32] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if let thread = Int32(name) { threads.append(thread) }
    }
    return threads.sorted { ($0 != pid ? 1 : 0, $0) < ($1 != pid ? 1 : 0, $1) }
}
