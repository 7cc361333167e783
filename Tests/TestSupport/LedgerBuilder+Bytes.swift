import CHeapLedger

extension LedgerBuilder {
    /// Where each section begins, in the file's order, and last the file's end.
    public var boundaries: [(name: String, offset: Int)] {
        let h = completedHeader()
        return [
            ("modules", Int(h.modules_offset)), ("names", Int(h.names_offset)), ("sites", Int(h.sites_offset)),
            ("frames", Int(h.frames_offset)), ("keys", Int(h.keys_offset)), ("samples", Int(h.samples_offset)),
            ("end", Int(h.file_size)),
        ]
    }

    /// The whole file.
    public func bytes() -> [UInt8] {
        let header = completedHeader()
        var file = [UInt8](repeating: 0, count: Int(header.file_size))
        Self.put([header], at: 0, in: &file)
        Self.put(modules, at: header.modules_offset, in: &file)
        Self.put(names, at: header.names_offset, in: &file)
        Self.put(sites, at: header.sites_offset, in: &file)
        Self.put(frames, at: header.frames_offset, in: &file)
        Self.put(samples.map(\.key), at: header.keys_offset, in: &file)
        Self.put(samples.map(\.sample), at: header.samples_offset, in: &file)
        return file
    }

    /// The header with offsets, capacities and counts filled in.
    private func completedHeader() -> hl_header {
        var h = header
        var end = UInt64(HL_HEADER_SIZE)
        func section(_ count: Int, _ stride: Int) -> (offset: UInt64, capacity: UInt64) {
            let offset = end
            let capacity = UInt64(count + spare)
            end += (capacity * UInt64(stride) + 63) / 64 * 64
            return (offset, capacity)
        }
        (h.modules_offset, h.modules_capacity) = section(modules.count, MemoryLayout<hl_module>.stride)
        (h.names_offset, h.names_capacity) = section(names.count, 1)
        (h.sites_offset, h.sites_capacity) = section(sites.count, MemoryLayout<hl_site>.stride)
        (h.frames_offset, h.frames_capacity) = section(frames.count, MemoryLayout<UInt64>.stride)
        (h.keys_offset, h.samples_capacity) = section(samples.count, MemoryLayout<UInt64>.stride)
        (h.samples_offset, _) = section(samples.count, MemoryLayout<hl_sample>.stride)
        h.file_size = end
        h.modules_used = UInt64(modules.count)
        h.names_used = UInt64(names.count)
        h.sites_used = UInt64(sites.count)
        h.frames_used = UInt64(frames.count)
        h.samples_live = UInt64(samples.count)
        return h
    }

    private static func put<Record: BitwiseCopyable>(_ records: [Record], at offset: UInt64, in file: inout [UInt8]) {
        records.withUnsafeBytes { source in
            file.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[Int(offset)...]).copyMemory(from: source)
            }
        }
    }
}
