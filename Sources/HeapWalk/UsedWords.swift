import HeapProfile

/// Which words of a Swift collection's storage are its elements'. The others are what whoever had the memory before has left
/// there, and lead nowhere.
///
/// An array's elements begin at 32. A table's head tells the logarithm of its buckets (8 bits at 32), where keys and values
/// are (48 and 56; of a set the former alone), and, behind these, a bit for each bucket in use
/// (stdlib/public/core, ContiguousArrayBuffer.swift, DictionaryStorage.swift, SetStorage.swift, HashTable.swift).
struct UsedWords {
    /// Elements of one stride.
    private struct Part {
        var start: UInt64
        var stride: UInt64
    }

    /// Behind the head.
    private var parts: [Part] = []
    /// Of an array, where its elements end.
    private var end: UInt64?
    private var bitmap: [UInt64] = []
    /// Behind the last bucket's bit all are set.
    private var buckets: UInt64 = 0

    /// Of a text, which leads nowhere: its head.
    static let ofText = UsedWords(end: 32)

    private init(end: UInt64) { self.end = end }

    /// Nil where the block is not as it should be, or nothing of it is unused.
    init?(_ layout: CollectionLayout, _ block: HeapBlock, _ memory: some MemorySource) {
        let words = memory.words(block.address, 8)
        guard words.count == 8, let container = layout.container(words), let capacity = container.capacity, capacity > 0
        else { return nil }
        switch layout {
        case .array:
            let stride = (block.size - min(block.size, 32)) / capacity
            guard stride > 0, container.count < capacity else { return nil }
            end = 32 + container.count * stride
        case .dictionary, .set:
            let scale = words[4] & 0xff
            guard scale >= 3, scale < 40, container.count <= 1 << scale,
                table(words, scale, layout == .set, block, memory)
            else { return nil }
        default: return nil
        }
    }

    private mutating func table(
        _ words: [UInt64], _ scale: UInt64, _ isSet: Bool, _ block: HeapBlock, _ memory: some MemorySource
    ) -> Bool {
        let buckets: UInt64 = 1 << scale
        let head: UInt64 = isSet ? 56 : 64
        let starts = isSet ? [words[6]] : [words[6], words[7]]
        let ends = starts.dropFirst() + [block.end]
        let bitmapBytes = max(8, buckets / 8)
        // What the allocator rounds up must not seem to be a part of each element.
        guard starts[0] >= block.address, starts[0] - block.address >= head + bitmapBytes,
            buckets > (block.size > 1 << 16 ? 4096 : 32) / 8
        else { return false }
        for (start, end) in zip(starts, ends) {
            guard start >= block.address + head, start <= end, end <= block.end else { return false }
            // What has no pointers may be of any stride, and matters not.
            let stride = (end - start) / buckets & ~7
            parts.append(Part(start: start - block.address, stride: max(stride, 8)))
        }
        self.buckets = buckets
        bitmap = memory.words(block.address + head, Int(bitmapBytes / 8))
        return bitmap.count == Int(bitmapBytes / 8)
    }

    /// - Parameter offset: from the block's beginning.
    func contains(_ offset: UInt64) -> Bool {
        if let end { return offset < end }
        guard let part = parts.last(where: { $0.start <= offset }) else { return true }
        let bucket = (offset - part.start) / part.stride
        return bucket < buckets && bitmap[Int(bucket / 64)] >> (bucket % 64) & 1 == 1
    }
}
