import Glibc

/// Environment variables of a process, as `NAME=VALUE` entries in their order. As bytes: nothing says that they are
/// UTF-8, and the service must get them as they are.
struct Environment {
    private(set) var entries: [[UInt8]]

    /// From /proc/PID/environ.
    init(block: [UInt8]) { entries = block.split(separator: 0).map(Array.init) }

    subscript(name: String) -> String? {
        get {
            let start = Array("\(name)=".utf8)
            return entries.first { $0.starts(with: start) }
                .map { String(decoding: $0.dropFirst(start.count), as: UTF8.self) }
        }
        set {
            let start = Array("\(name)=".utf8)
            entries.removeAll { $0.starts(with: start) }
            if let newValue { entries.append(start + Array(newValue.utf8)) }
        }
    }

    func setting(_ values: [String: String]) -> Environment {
        var copy = self
        for (name, value) in values { copy[name] = value }
        return copy
    }
}

func currentEnvironment() -> Environment {
    Environment(block: readBytes("/proc/self/environ") ?? [])
}

/// A whole file, at most `limit` bytes of it; nil where it cannot be read.
func readBytes(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count < limit {
        let count = read(file, &chunk, min(chunk.count, limit - bytes.count))
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { break }
        bytes += chunk[..<count]
    }
    return bytes
}
