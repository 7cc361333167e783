import Algorithms
import Glibc

/// What a process has in its writable memory at one moment, kept here: it need stand still only as long as the copying
/// takes, about 1.5 seconds a GB with the look for blocks. Pages that were never touched are not kept.
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

    /// Nil where it would take more than `most` bytes, or cannot be read.
    package init?(of process: RemoteMemory, _ map: MemoryMap, most: UInt64) {
        let writable = map.mappings.filter { $0.isReadable && $0.isWritable && !$0.path.hasPrefix("/dev/") }
        // A sanitizer's shadow of the address space takes too long to look through.
        guard writable.reduce(0, { $0 + ($1.end - $1.start) }) < 64 << 30 else { return nil }
        guard let pages = TouchedPages(of: process.pid) else { return nil }
        for mapping in writable {
            guard let touched = pages.runs(in: mapping.start..<mapping.end, isOwn: mapping.isFile) else { return nil }
            var at = mapping.start
            for run in touched {
                // What is the file's can be read there afterwards.
                if !mapping.isFile, run.lowerBound > at {
                    runs.append(Run(start: at, end: run.lowerBound, isCopied: false))
                }
                runs.append(Run(start: run.lowerBound, end: run.upperBound, isCopied: true))
                at = run.upperBound
            }
            if !mapping.isFile, at < mapping.end { runs.append(Run(start: at, end: mapping.end, isCopied: false)) }
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
