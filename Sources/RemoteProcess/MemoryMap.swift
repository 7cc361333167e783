import Algorithms

/// One line of /proc/PID/maps.
package struct Mapping: Equatable {
    package var start: UInt64
    package var end: UInt64
    package var isReadable, isWritable, isExecutable, isShared: Bool
    package var offset: UInt64
    package var inode: UInt64
    /// As the process named it when it mapped it, in its own mount namespace; without ` (deleted)`.
    package var path: String

    /// nil where the line is none.
    package init?(_ line: Substring) {
        let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
        guard fields.count >= 5 else { return nil }
        let range = fields[0].split(separator: "-")
        guard range.count == 2, let start = UInt64(range[0], radix: 16), let end = UInt64(range[1], radix: 16),
            let offset = UInt64(fields[2], radix: 16), let inode = UInt64(fields[4])
        else { return nil }
        self.start = start
        self.end = end
        self.offset = offset
        self.inode = inode
        isReadable = fields[1].hasPrefix("r")
        isWritable = fields[1].dropFirst().hasPrefix("w")
        isExecutable = fields[1].dropFirst(2).hasPrefix("x")
        isShared = fields[1].dropFirst(3).hasPrefix("s")
        let path = fields.count > 5 ? fields[5].drop { $0 == " " } : ""
        self.path = String(path).withoutDeletedMark
    }

    package var isFile: Bool { path.hasPrefix("/") && inode != 0 }
    package func contains(_ address: UInt64) -> Bool { start <= address && address < end }
}

/// What a process has mapped.
package struct MemoryMap {
    package let mappings: [Mapping]

    package init(_ text: String) { mappings = text.split(separator: "\n").compactMap { Mapping($0) } }

    package init?(of pid: Int32) {
        guard let text = text(of: "/proc/\(pid)/maps") else { return nil }
        self.init(text)
    }

    /// Whether there is memory everywhere in a range.
    package func covers(_ address: UInt64, _ size: UInt64) -> Bool {
        let (end, isBeyond) = address.addingReportingOverflow(max(1, size))
        var reached = address
        while !isBeyond, reached < end, let mapping = mapping(at: reached) { reached = mapping.end }
        return !isBeyond && reached >= end
    }

    package func mapping(at address: UInt64) -> Mapping? {
        let rest = mappings[mappings.partitioningIndex { $0.end > address }...]
        return rest.first.flatMap { $0.contains(address) ? $0 : nil }
    }

    /// The start of each mapped file's image: where its first bytes are.
    package var images: [Mapping] {
        mappings.filter { $0.isFile && $0.offset == 0 && $0.isReadable }
    }

}

package func fileName(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }

/// By its name, which may have a version behind it.
package func isProbe(_ path: String) -> Bool { fileName(path).hasPrefix("libheaptide-probe") }

extension String {
    /// The kernel marks the name of a file that is no more.
    package var withoutDeletedMark: String { hasSuffix(" (deleted)") ? String(dropLast(" (deleted)".count)) : self }
}
