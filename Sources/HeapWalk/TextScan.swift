import HeapGraph
import HeapProfile

/// Texts on the heap: how many there are, and how much of them is there several times. What they say is looked at, and
/// forgotten at once unless it was asked for.
///
/// C++'s `std::string` (bits/basic_string.h) is a pointer, a length and, where the text does not fit into the object, a
/// capacity; Swift's is an object of its own with the length at offset 24 and the text from 32 on
/// (stdlib/public/core/StringStorage.swift); libc++'s is capacity, length and pointer (include/string), Rust's a Vec of bytes.
struct TextScan {
    fileprivate struct Text {
        var block: UInt32
        /// Where in the block the text begins, and its bytes.
        var start: UInt32
        var length: UInt32
    }

    fileprivate struct Group {
        var count: UInt64
        var text: Text
    }

    private var texts: [Text] = []
    private static let mostTexts = 1 << 22
    private static let mostGroups = 1 << 19
    private static let mostListed = 8
    /// What is there a few times may be anybody's secret.
    private static let fewestQuoted: UInt64 = 16
    private static let coarsest: UInt64 = 0xffff
    /// libstdc++ keeps shorter ones in the object.
    private static let shortest: UInt64 = 16

    /// The words of an object in C++ that may be one.
    mutating func look(_ pointer: UInt64, _ length: UInt64, _ capacity: UInt64, _ index: BlockIndex) {
        guard Self.canBe(length: length, capacity: capacity), let block = index.block(startingAt: pointer),
            index.blocks[Int(block)].isFilled(to: pointer + capacity + 1)
        else { return }
        add(Text(block: block, start: 0, length: UInt32(length)))
    }

    /// Small numbers behind a pointer may be anything.
    static func canBe(length: UInt64, capacity: UInt64) -> Bool {
        capacity >= shortest && capacity < 1 << 32 && length <= capacity && length > (capacity < 256 ? shortest / 2 : 0)
    }

    /// A storage object of Swift's, by the words with which it begins.
    mutating func look(_ block: UInt32, _ words: some RandomAccessCollection<UInt64>, size: UInt64) {
        guard let word = words.dropFirst(3).first, case let length = word & 0xffff_ffff_ffff, length > 0,
            length < 1 << 32,
            length + 32 <= size
        else { return }
        add(Text(block: block, start: 32, length: UInt32(length)))
    }

    private mutating func add(_ text: Text) {
        if texts.count < Self.mostTexts { texts.append(text) }
    }

    /// Of C++ and Rust, where a text is a block of its own. Shorter ones may be anything.
    var used: some Sequence<UnusedEnds.Used> {
        texts.lazy.filter { $0.start == 0 && $0.length >= Self.shortest }
            .map { UnusedEnds.Used(block: $0.block, bytes: UInt64($0.length), mayLead: false) }
    }

    /// Reads them all; nil where there are none.
    ///
    /// - Parameter quotes: tell how the largest begin.
    func waste(_ index: BlockIndex, _ memory: some MemorySource, quotes: Bool) -> TextWaste? {
        guard !texts.isEmpty else { return nil }
        var groups: [UInt64: Group] = [:]
        /// Of groups with such a hash all are counted, of others none: each group has the same chance.
        var mask: UInt64 = 0
        var waste = HeapSurvey.Texts(count: 0, bytes: 0, duplicateBytes: 0, unusedBytes: 0)
        var window = MemoryWindow(memory)
        var last: UInt32?
        for text in texts.sorted(by: { $0.block < $1.block }) where text.block != last {
            last = text.block
            waste.count += 1
            waste.bytes += index.blocks[Int(text.block)].size
            waste.unusedBytes += text.unused(index)
            let hash = Self.hash(text, index, &window)
            guard hash & mask == 0 else { continue }
            groups[hash, default: Group(count: 0, text: text)].count += 1
            guard groups.count > Self.mostGroups, mask < Self.coarsest else { continue }
            mask = mask << 1 | 1
            groups = groups.filter { $0.key & mask == 0 }
        }
        let copies = groups.values.filter { $0.count > 1 }
        let (bytes, overflows) = copies.reduce(0) { $0 + $1.bytes(index) }.multipliedReportingOverflow(by: mask + 1)
        waste.duplicateBytes = overflows ? waste.bytes : min(bytes, waste.bytes)
        let largest = copies.sorted { ($0.bytes(index), $1.text.block) > ($1.bytes(index), $0.text.block) }
            .prefix(Self.mostListed)
        waste.largest = largest.map {
            .init(
                count: $0.count, length: UInt64($0.text.length), owner: "",
                start: quotes && $0.count >= Self.fewestQuoted ? $0.text.beginning(index, memory) : nil)
        }
        return TextWaste(texts: waste, examples: largest.map(\.text.block))
    }

    /// FNV-1a over words, with the high bits folded down (Fowler, Noll, Vo).
    private static func hash(_ text: Text, _ index: BlockIndex, _ window: inout MemoryWindow<some MemorySource>)
        -> UInt64
    {
        var hash = 0xcbf2_9ce4_8422_2325 ^ UInt64(text.length)
        let start = index.blocks[Int(text.block)].address + UInt64(text.start)
        let end = start + UInt64(text.length)
        var left = UInt64(text.length)
        window.forEachPiece(of: start..<(end + 7) & ~7) { words in
            for word in words {
                let kept = left >= 8 ? word : word & (1 << (left * 8) - 1)
                hash = (hash ^ kept) &* 0x9e37_79b9_7f4a_7c15
                hash ^= hash >> 32
                left -= min(8, left)
            }
        }
        return hash
    }
}

extension TextScan.Text {
    fileprivate func unused(_ index: BlockIndex) -> UInt64 {
        let size = index.blocks[Int(block)].size
        // What the allocator rounds up is nobody's fault.
        let used = UInt64(start) + UInt64(length)
        return size > used + 32 ? size - used : 0
    }

    private static let told: UInt32 = 80

    fileprivate func beginning(_ index: BlockIndex, _ memory: some MemorySource) -> String {
        var bytes = [UInt8](repeating: 0, count: Int(min(length, Self.told)))
        let count = bytes.withUnsafeMutableBytes {
            memory.copy(index.blocks[Int(block)].address + UInt64(start), into: $0)
        }
        var text = String(decoding: bytes.prefix(count), as: UTF8.self)
        guard length > Self.told else { return text }
        if text.last == "\u{fffd}" { text.removeLast() }  // a character that was cut
        return text + "…"
    }
}

extension TextScan.Group {
    /// Of all copies but one.
    fileprivate func bytes(_ index: BlockIndex) -> UInt64 { (count - 1) * index.blocks[Int(text.block)].size }
}

/// What `TextScan` found; the owners are not known yet.
struct TextWaste {
    var texts: HeapSurvey.Texts
    /// One of each of `texts.largest`.
    var examples: [UInt32]
}
