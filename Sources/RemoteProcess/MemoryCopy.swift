import Algorithms
import CLinux
import Glibc

/// What a process has in its writable memory at one moment, kept here: it need stand still only as long as the copying
/// takes, about a second a GB. Pages that were never touched are not kept.
package final class MemoryCopy {
    /// A run of pages; those that are not copied were never touched, and are zero.
    private struct Run {
        var start: UInt64
        var end: UInt64
        var isCopied: Bool
        var bytes: UnsafeMutableRawPointer?
    }

    private var runs: [Run] = []
    private let storage: UnsafeMutableRawPointer
    private let size: Int
    private static let page: UInt64 = 4096

    /// Nil where it would take more than `most` bytes, or cannot be read.
    package init?(of process: RemoteMemory, _ map: MemoryMap, most: UInt64) {
        let writable = map.mappings.filter { $0.isReadable && $0.isWritable && !$0.path.hasPrefix("/dev/") }
        // A sanitizer's shadow of the address space takes too long to look through.
        guard writable.reduce(0, { $0 + ($1.end - $1.start) }) < 64 << 30 else { return nil }
        for mapping in writable {
            guard let touched = Self.touched(mapping, of: process.pid) else { return nil }
            runs += touched
        }
        let bytes = runs.reduce(0) { $0 + ($1.isCopied ? $1.end - $1.start : 0) }
        guard bytes > 0, bytes <= most else { return nil }
        size = Int(bytes)
        let storage = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let storage, storage != MAP_FAILED else { return nil }
        self.storage = storage
        var place = storage
        for index in runs.indices where runs[index].isCopied {
            let count = Int(runs[index].end - runs[index].start)
            runs[index].bytes = place
            let got = process.copy(runs[index].start, into: .init(start: place, count: count))
            // What it could not read, nobody could.
            runs[index].end = runs[index].start + UInt64(got)
            place += count
        }
    }

    deinit { munmap(storage, size) }

    /// A mapping's pages, by whether they are in memory or in swap, and no file's (Documentation/admin-guide/mm/pagemap.rst:
    /// bits 63, 62 and 61).
    private static func touched(_ mapping: Mapping, of pid: Int32) -> [Run]? {
        let file = open("/proc/\(pid)/pagemap", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var runs: [Run] = []
        var entries = [UInt64](repeating: 0, count: 1 << 13)
        var address = mapping.start
        while address < mapping.end {
            let wanted = min(entries.count, Int((mapping.end - address) / page))
            let got = pread(file, &entries, wanted * 8, off_t(address / page * 8)) / 8
            guard got > 0 else { return nil }
            for entry in entries[..<got] {
                defer { address += page }
                let isOwn = entry >> 62 != 0 && !(mapping.isFile && entry >> 61 & 1 == 1)
                // What is the file's can be read there afterwards.
                if mapping.isFile, !isOwn { continue }
                if let last = runs.last, last.end == address, last.isCopied == isOwn {
                    runs[runs.count - 1].end += page
                } else {
                    runs.append(Run(start: address, end: address + page, isCopied: isOwn))
                }
            }
        }
        return runs
    }

    /// Bytes from `address`, of which it has none, to the next of which it has.
    func gap(at address: UInt64) -> Int {
        let index = runs.partitioningIndex { $0.end > address }
        return index < runs.count ? Int(clamping: runs[index].start - min(address, runs[index].start)) : .max
    }

    /// How many bytes from `address` on it has, of those wanted, at most to the end of a run; nil where it has none.
    func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        let index = runs.partitioningIndex { $0.end > address }
        guard index < runs.count, runs[index].start <= address, let target = buffer.baseAddress else { return nil }
        let count = min(buffer.count, Int(runs[index].end - address))
        if let bytes = runs[index].bytes {
            target.copyMemory(from: bytes + Int(address - runs[index].start), byteCount: count)
        } else {
            target.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        }
        return count
    }
}
