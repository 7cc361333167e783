import CLinux

/// A module as it is mapped in a process: its file may have been replaced since. (System V gABI, "Program Loading".)
package struct RemoteImage {
    package struct Segment {
        package var type: UInt64
        package var start: UInt64
        package var size: UInt64
        package var isExecutable: Bool
        package var isWritable: Bool
        package var alignment: UInt64
    }

    package let path: String
    package let base: UInt64
    package let segments: [Segment]
    private let memory: RemoteMemory
    private let dynamic: [UInt64: UInt64]

    /// nil where there is no 64-bit ELF image at that place.
    package init?(_ mapping: Mapping, _ memory: RemoteMemory) {
        guard let head = memory.read(mapping.start, 64), head.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else {
            return nil
        }
        let size = Int(number(head, at: 54, size: 2))
        let count = Int(number(head, at: 56, size: 2))
        guard size >= 56, count <= 128,
            let table = memory.read(mapping.start &+ number(head, at: 32, size: 8), size * count)
        else { return nil }
        // ET_EXEC is mapped where it says, ET_DYN anywhere.
        let base = number(head, at: 16, size: 2) == 2 ? 0 : mapping.start
        segments = (0..<count).map { index in
            let at = index * size
            return Segment(
                type: number(table, at: at, size: 4), start: base &+ number(table, at: at + 16, size: 8),
                size: number(table, at: at + 40, size: 8), isExecutable: number(table, at: at + 4, size: 4) & 1 != 0,
                isWritable: number(table, at: at + 4, size: 4) & 2 != 0, alignment: number(table, at: at + 48, size: 8))
        }
        path = mapping.path
        self.base = base
        self.memory = memory
        dynamic = Self.dynamic(segments, memory)
    }

    private static func dynamic(_ segments: [Segment], _ memory: RemoteMemory) -> [UInt64: UInt64] {
        guard let segment = segments.first(where: { $0.type == 2 }), segment.size <= 64 << 10,
            let bytes = memory.read(segment.start, Int(segment.size))
        else { return [:] }
        var entries: [UInt64: UInt64] = [:]
        for at in stride(from: 0, to: bytes.count - 15, by: 16) {
            let tag = number(bytes, at: at, size: 8)
            if tag == 0 { break }
            entries[tag] = number(bytes, at: at + 8, size: 8)
        }
        return entries
    }

    /// An address in the dynamic section; the loader relocates those, save in the vdso.
    private func pointer(_ tag: UInt64) -> UInt64? {
        dynamic[tag].map { $0 < base ? base &+ $0 : $0 }
    }

    /// The dynamic linker that the program names (PT_INTERP); nil for a statically linked one.
    package var interpreter: String? { segments.first { $0.type == 3 }.flatMap { memory.string($0.start) } }

    /// A defined dynamic symbol's address.
    package func symbol(_ name: String) -> UInt64? { range(of: name)?.lowerBound }

    /// A defined dynamic symbol's address and size, by DT_GNU_HASH.
    package func range(of name: String) -> Range<UInt64>? {
        guard let table = pointer(0x6fff_fef5), let symbols = pointer(6), let names = pointer(5),
            let head = memory.read(table, 16)
        else { return nil }
        let (buckets, first) = (number(head, at: 0, size: 4), number(head, at: 4, size: 4))
        let words = number(head, at: 8, size: 4)
        guard buckets > 0 else { return nil }
        let hash = name.utf8.reduce(UInt32(5381)) { $0 &* 33 &+ UInt32($1) }
        let bucketTable = table &+ 16 &+ words * 8
        guard let bucket = memory.read(bucketTable &+ UInt64(hash) % buckets * 4, 4) else { return nil }
        var index = number(bucket, at: 0, size: 4)
        while index >= first, let link = memory.read(bucketTable &+ (buckets + index - first) * 4, 4) {
            let other = UInt32(number(link, at: 0, size: 4))
            if other | 1 == hash | 1, let record = memory.read(symbols &+ index * 24, 24),
                number(record, at: 6, size: 2) != 0,
                memory.string(names &+ number(record, at: 0, size: 4)) == name
            {
                let start = base &+ number(record, at: 8, size: 8)
                return start..<max(start, start &+ min(number(record, at: 16, size: 8), 1 << 32))
            }
            if other & 1 == 1 { break }
            index += 1
        }
        return nil
    }

    /// The first place of these bytes in code.
    package func find(_ pattern: [UInt8]) -> UInt64? {
        for segment in segments where segment.type == 1 && segment.isExecutable {
            guard segment.size <= 64 << 20, let code = memory.read(segment.start, Int(segment.size)) else { continue }
            let found = code.withUnsafeBytes { code in
                pattern.withUnsafeBytes { clinux_find(code.baseAddress, code.count, $0.baseAddress, $0.count) }
            }
            if found >= 0 { return segment.start &+ UInt64(found) }
        }
        return nil
    }

    /// The description of the ELF note of this owner and type, and where it is.
    package func note(owner: String, type: UInt64) -> (address: UInt64, bytes: [UInt8])? {
        for segment in segments where segment.type == 4 && segment.size <= 64 << 10 {
            guard let bytes = memory.read(segment.start, Int(segment.size)) else { continue }
            var at = 0
            while at + 12 <= bytes.count {
                let nameSize = Int(number(bytes, at: at, size: 4))
                let size = Int(number(bytes, at: at + 4, size: 4))
                let description = at + 12 + (nameSize + 3) & ~3
                guard description + size <= bytes.count else { break }
                let name = bytes[(at + 12)..<(at + 12 + nameSize)]
                if name.elementsEqual(Array(owner.utf8) + [0]), number(bytes, at: at + 8, size: 4) == type {
                    return (segment.start &+ UInt64(description), Array(bytes[description..<description + size]))
                }
                at = description + (size + 3) & ~3
            }
        }
        return nil
    }
}
