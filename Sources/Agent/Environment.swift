import Glibc

/// Environment variables of a process, as `NAME=VALUE` entries in their order.
struct Environment {
    private(set) var entries: [String]

    init(entries: [String]) { self.entries = entries }

    /// From /proc/PID/environ.
    init(block: [UInt8]) {
        entries = block.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    subscript(name: String) -> String? {
        get { entries.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) } }
        set {
            entries.removeAll { $0.hasPrefix(name + "=") }
            if let newValue { entries.append("\(name)=\(newValue)") }
        }
    }

    func setting(_ values: [String: String]) -> Environment {
        var copy = self
        for (name, value) in values { copy[name] = value }
        return copy
    }

    var dictionary: [String: String] {
        Dictionary(
            entries.compactMap { entry in
                entry.firstIndex(of: "=").map { (String(entry[..<$0]), String(entry[entry.index(after: $0)...])) }
            }, uniquingKeysWith: { first, _ in first })
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
