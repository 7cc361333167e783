import CHeapLedger
import HeapProfile

/// A record that says by its own first word whether it is published.
protocol PublishedRecord {
    var state: UInt32 { get }
}

extension hl_site: PublishedRecord {}
extension hl_module: PublishedRecord {}

extension LedgerFile {
    /// Calls `body` with each published record of `section` that the file still holds.
    ///
    /// With `twice`, every piece is read two times: states from the first reading, records from the second. The probe
    /// writes the state last, so what was ready in the first reading is whole in the second, in whatever order the
    /// kernel copies bytes. Counters alone can do without.
    func forEachPublished<Record: PublishedRecord>(
        _ section: LedgerLayout.Section, _ type: Record.Type, twice: Bool, _ body: (Int, Record) -> Void
    ) {
        let perPiece = 64
        withUnsafeTemporaryAllocation(byteCount: 2 * perPiece * section.stride, alignment: 64) { buffer in
            let first = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(perPiece * section.stride)])
            let second = UnsafeMutableRawBufferPointer(rebasing: buffer[(perPiece * section.stride)...])
            var index = 0
            while index < section.capacity {
                let count = min(perPiece, section.capacity - index)
                let states = readPiece(section, index, count, first)
                let records = twice ? min(states, readPiece(section, index, count, second)) : states
                for i in 0..<records
                where first.load(fromByteOffset: i * section.stride, as: UInt32.self) == UInt32(HL_READY) {
                    let record = (twice ? second : first).load(fromByteOffset: i * section.stride, as: Record.self)
                    if record.state == UInt32(HL_READY) { body(index + i, record) }
                }
                if records < count { return }
                index += count
            }
        }
    }

    /// Calls `body` with each live sample that the file holds whole; returns false where the tables were cut.
    ///
    /// Keys are read before and after the samples: where the two differ the slot changed hands in between.
    func forEachSample(_ body: (_ address: UInt64, _ sample: hl_sample) -> Void) -> Bool {
        let perPiece = 1024
        let keyBytes = perPiece * layout.keys.stride
        return withUnsafeTemporaryAllocation(
            byteCount: 2 * keyBytes + perPiece * layout.samples.stride, alignment: 64
        ) { buffer in
            let before = UnsafeMutableRawBufferPointer(rebasing: buffer[..<keyBytes])
            let after = UnsafeMutableRawBufferPointer(rebasing: buffer[keyBytes..<(2 * keyBytes)])
            let samples = UnsafeMutableRawBufferPointer(rebasing: buffer[(2 * keyBytes)...])
            var index = 0
            while index < layout.keys.capacity {
                let count = min(perPiece, layout.keys.capacity - index)
                let whole = min(
                    readPiece(layout.keys, index, count, before), readPiece(layout.samples, index, count, samples),
                    readPiece(layout.keys, index, count, after))
                for i in 0..<whole {
                    let key = before.load(fromByteOffset: i * layout.keys.stride, as: UInt64.self)
                    guard key >= 4096, key == after.load(fromByteOffset: i * layout.keys.stride, as: UInt64.self)
                    else { continue }
                    body(key, samples.load(fromByteOffset: i * layout.samples.stride, as: hl_sample.self))
                }
                if whole < count { return false }
                index += count
            }
            return true
        }
    }

    /// The site at `index` as it is now.
    func site(at index: Int) -> hl_site? {
        guard index < layout.sites.capacity else { return nil }
        var site = hl_site()
        let count = withUnsafeMutableBytes(of: &site) {
            read(at: layout.sites.offset + index * layout.sites.stride, into: $0)
        }
        return count == layout.sites.stride ? site : nil
    }

    /// The return addresses of one stack, innermost first; empty where the site points outside the arena.
    func frames(of site: hl_site) -> [UInt64] {
        let depth = Int(site.depth)
        guard depth > 0, depth <= Int(HL_MAX_DEPTH), let start = Int(exactly: site.frames_index),
            start <= layout.frames.capacity, depth <= layout.frames.capacity - start
        else { return [] }
        return [UInt64](unsafeUninitializedCapacity: depth) { buffer, count in
            let bytes = read(
                at: layout.frames.offset + start * layout.frames.stride, into: UnsafeMutableRawBufferPointer(buffer))
            count = bytes == depth * layout.frames.stride ? depth : 0
        }
    }

    /// Of the file that the process runs: the first module that the loader mapped. Nil where that is lost.
    public func programName() -> String? {
        var path: String?
        forEachPublished(layout.modules, hl_module.self, twice: false) { index, module in
            if index == 0 { path = name(at: module.name_offset) }
        }
        return path?.split(separator: "/").last.map(String.init)
    }

    /// The NUL-terminated path at `offset` of the names arena, at most PATH_MAX bytes; invalid UTF-8 is repaired.
    func name(at offset: UInt64) -> String? {
        guard let start = Int(exactly: offset), start < layout.names.capacity else { return nil }
        let limit = min(4096, layout.names.capacity - start)
        return withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer in
            let count = read(at: layout.names.offset + start, into: buffer)
            guard let end = buffer[..<count].firstIndex(of: 0) else { return nil }
            return printable(String(decoding: buffer[..<end], as: UTF8.self))
        }
    }

    /// Reads `count` records from `index` on; returns how many of them the file holds whole.
    private func readPiece(
        _ section: LedgerLayout.Section, _ index: Int, _ count: Int, _ buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * section.stride)])
        return read(at: section.offset + index * section.stride, into: piece) / section.stride
    }
}
