import CLinux

/// Reads another process's memory.
package struct RemoteMemory {
    package let pid: Int32
    /// Stands in for what is in it.
    private let kept: MemoryCopy?

    package init(pid: Int32, kept: MemoryCopy? = nil) {
        self.pid = pid
        self.kept = kept
    }

    /// nil where not all of it could be read.
    package func read(_ address: UInt64, _ count: Int) -> [UInt8]? {
        guard count >= 0, count <= 64 << 20 else { return nil }
        var buffer = [UInt8](repeating: 0, count: count)
        return buffer.withUnsafeMutableBytes { copy(address, into: $0) } == count ? buffer : nil
    }

    /// Copies what it can from `address` on, all or the first part; returns how many bytes that was.
    package func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            if let count = kept?.copy(address &+ UInt64(done), into: rest), count > 0 {
                done += count
                continue
            }
            let room = min(rest.count, kept?.gap(at: address &+ UInt64(done)) ?? .max)
            let got = clinux_read_memory(pid, address &+ UInt64(done), rest.baseAddress, room)
            guard got > 0 else { break }
            done += got
        }
        return done
    }

    /// The parts of a range of anonymous memory that were ever touched: all others are zero.
    package func touched(_ range: Range<UInt64>) -> [Range<UInt64>] {
        TouchedPages(of: pid)?.runs(in: range) ?? [range]
    }

    package func word(_ address: UInt64) -> UInt64? { read(address, 8).map { number($0, at: 0, size: 8) } }

    package func string(_ address: UInt64) -> String? {
        var all: [UInt8] = []
        while all.count < 4096, let piece = read(address &+ UInt64(all.count), 1) {
            if piece[0] == 0 { return String(decoding: all, as: UTF8.self) }
            all += piece
        }
        return nil
    }

    package func write(_ bytes: [UInt8], to address: UInt64) -> Bool {
        bytes.withUnsafeBytes { clinux_write_memory(pid, address, $0.baseAddress, $0.count) } == bytes.count
    }
}

/// Little endian; 0 where the bytes end before it.
package func number(_ bytes: [UInt8], at offset: Int, size: Int) -> UInt64 {
    guard offset >= 0, offset + size <= bytes.count else { return 0 }
    return bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
}

package func littleEndian(_ words: [UInt64]) -> [UInt8] {
    words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
}
