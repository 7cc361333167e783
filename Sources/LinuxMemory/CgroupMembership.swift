/// A mount of a cgroup hierarchy that has the memory controller, or may have it: one line of /proc/PID/mountinfo.
struct CgroupMount: Equatable {
    var version: Int
    /// The cgroup that the mount shows as its root: not `/` in a container without a cgroup namespace.
    var root: String
    /// The folder it is mounted on.
    var folder: String

    /// Nil for other file systems and controllers, and for lines that are not as proc(5) says:
    /// `36 35 98:0 /root /folder rw,relatime shared:1 - type source options`.
    init?(line: ArraySlice<UInt8>) {
        let fields = line.split(whereSeparator: isBlank)
        guard let dash = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual("-".utf8) }),
            fields.count >= dash + 4
        else { return nil }
        let options = fields[dash + 3].split(separator: UInt8(ascii: ","))
        switch String(decoding: fields[dash + 1], as: UTF8.self) {
        case "cgroup2": version = 2
        case "cgroup" where options.contains { $0.elementsEqual("memory".utf8) }: version = 1
        default: return nil
        }
        root = unescape(fields[3])
        folder = unescape(fields[4])
    }

    /// All of a mountinfo file; the latest mount first, for it hides those before it.
    static func all(_ mountinfo: [UInt8]) -> [CgroupMount] {
        mountinfo.split(separator: UInt8(ascii: "\n")).compactMap(CgroupMount.init).reversed()
    }
}

/// Blanks, line ends and backslashes stand as three octal digits in mountinfo.
private func unescape(_ field: ArraySlice<UInt8>) -> String {
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
        if byte == UInt8(ascii: "\\"), digits.count == 3, let value {
            bytes.append(value)
            rest = rest.dropFirst(3)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// Which cgroups a process is in, of those that count memory (/proc/PID/cgroup, cgroups(7)).
struct CgroupMembership: Equatable {
    /// Of the v1 memory controller, and of v2: as seen from the reader's cgroup namespace, so that one outside of it
    /// begins with `/..`.
    var v1: String?
    var v2: String?

    /// Lines of `hierarchy:controllers:path`; the path may have colons.
    init(_ text: [UInt8]) {
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[2].first == UInt8(ascii: "/") else { continue }
            let path = String(decoding: fields[2], as: UTF8.self)
            if fields[1].split(separator: UInt8(ascii: ",")).contains(where: { $0.elementsEqual("memory".utf8) }) {
                v1 = path
            } else if fields[1].isEmpty && fields[0].elementsEqual("0".utf8) {
                v2 = path
            }
        }
    }

    /// Folders where the cgroup may be, best guess first, each relative to the mount's folder.
    static func candidates(for path: String, in mount: CgroupMount) -> [String] {
        let path = components(path)
        let root = components(mount.root)
        var found: [[Substring]] = []
        if path.starts(with: root) { found.append(Array(path.dropFirst(root.count))) }
        // Some runtimes show the host's paths in a tree of which they mount only the container's own part, as if it
        // were all. What begins with `..` is another container's, and not to be mistaken for that.
        if !path.contains("..") { found += [path, []] }
        return found.filter { !$0.contains("..") }.map { $0.map { "/" + $0 }.joined() }
    }

    private static func components(_ path: String) -> [Substring] { path.split(separator: "/") }
}
