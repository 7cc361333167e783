import Glibc

/// Which pages of a process are in memory or in swap (Documentation/admin-guide/mm/pagemap.rst). Reading one that never was
/// would make it one, page tables and all.
package struct TouchedPages: ~Copyable {
    private let file: Int32
    private static let page: UInt64 = 4096

    /// Nil where it may not be asked.
    package init?(of pid: Int32) {
        file = open("/proc/\(pid)/pagemap", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
    }

    deinit { close(file) }

    /// The runs of such pages in `range`, clipped to it. About 2 ms a GB of addresses.
    ///
    /// - Parameter isOwn: without those that are a file's as it is, which need not be read now.
    package func runs(in range: Range<UInt64>, isOwn: Bool = false) -> [Range<UInt64>]? {
        var runs: [Range<UInt64>] = []
        var entries = [UInt64](repeating: 0, count: 1 << 13)
        var address = range.lowerBound & ~(Self.page - 1)
        while address < range.upperBound {
            let wanted = min(entries.count, Int((range.upperBound - address + Self.page - 1) / Self.page))
            let got = pread(file, &entries, wanted * 8, off_t(address / Self.page * 8)) / 8
            guard got > 0 else { return nil }
            for entry in entries[..<got] {
                defer { address += Self.page }
                guard entry >> 62 != 0, !(isOwn && entry >> 61 & 1 == 1) else { continue }
                let part = max(address, range.lowerBound)..<min(address + Self.page, range.upperBound)
                if let last = runs.last, last.upperBound == part.lowerBound {
                    runs[runs.count - 1] = last.lowerBound..<part.upperBound
                } else {
                    runs.append(part)
                }
            }
        }
        return runs
    }
}
