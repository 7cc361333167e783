package import RemoteProcess

/// Where a walk reads: another process, or a copy in a test.
package protocol MemorySource {
    /// Copies what it can from `address` on, all or the first part; returns how many bytes that was.
    func copy(_ address: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
    /// The parts of a range that were ever touched: all others are zero, and better not read.
    func touched(_ range: Range<UInt64>) -> [Range<UInt64>]
}

extension MemorySource {
    package func touched(_ range: Range<UInt64>) -> [Range<UInt64>] { [range] }
}

extension RemoteMemory: MemorySource {}

/// A piece of memory that is read through, mostly upwards: one copy for many words.
struct MemoryWindow<Source: MemorySource>: ~Copyable {
    private let source: Source
    private let buffer: UnsafeMutableRawBufferPointer
    private var start: UInt64 = 0
    private var end: UInt64 = 0

    init(_ source: Source, size: Int = 1 << 20) {
        self.source = source
        buffer = .allocate(byteCount: size, alignment: 16)
    }

    deinit { buffer.deallocate() }

    /// nil where it cannot be read.
    mutating func word(_ address: UInt64) -> UInt64? {
        guard holds(address, 8) else { return nil }
        return buffer.loadUnaligned(fromByteOffset: Int(address - start), as: UInt64.self)
    }

    /// The whole words of a range, as far as they can be read, in pieces; valid during the call.
    mutating func forEachPiece(of range: Range<UInt64>, _ body: (UnsafeBufferPointer<UInt64>) -> Void) {
        var address = range.lowerBound
        while address + 8 <= range.upperBound, holds(address, 8) {
            let words = Int(min(end, range.upperBound) - address) / 8
            let piece = UnsafeRawBufferPointer(
                rebasing: buffer[Int(address - start)..<Int(address - start) + words * 8])
            piece.withMemoryRebound(to: UInt64.self, body)
            address += UInt64(words) * 8
        }
    }

    private mutating func holds(_ address: UInt64, _ count: UInt64) -> Bool {
        if address >= start, address + count <= end { return true }
        start = address
        end = address + UInt64(source.copy(address, into: buffer))
        return address + count <= end
    }
}

extension MemorySource {
    /// As many whole words as can be read from there, at most `count`.
    func words(_ address: UInt64, _ count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = copy(address, into: UnsafeMutableRawBufferPointer(buffer)) / 8
        }
    }
}
