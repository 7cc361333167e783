import Algorithms

/// The addresses to look up in one file, ascending and each once.
///
/// All that a file tells (symbols, units, functions, inlined calls) is walked once, and whatever has a code range asks
/// here which addresses it covers. So nothing of the file is indexed or kept, however large it is, and a
/// `.debug_aranges` section, which clang and swiftc do not write, is not missed.
package struct Lookups {
    package let addresses: [UInt64]

    package init(_ addresses: some Sequence<UInt64>) {
        self.addresses = Array(Set(addresses)).sorted()
    }

    package var indices: Range<Int> { addresses.indices }

    /// First index whose address is at least `address`. O(log n).
    package func firstIndex(from address: UInt64) -> Int {
        addresses.partitioningIndex { $0 >= address }
    }

    /// Indices of the addresses from `start` up to but not including `end`; empty where `end` ≤ `start`. O(log n).
    package func indices(from start: UInt64, to end: UInt64) -> Range<Int> {
        let first = firstIndex(from: start)
        guard first < addresses.count, addresses[first] < end else { return first..<first }
        return first..<firstIndex(from: end)
    }

    /// The part of `indices`, ascending, whose addresses lie from `start` up to but not including `end`. O(log n).
    package func slice(of indices: [Int], from start: UInt64, to end: UInt64) -> ArraySlice<Int> {
        let first = indices.partitioningIndex { addresses[$0] >= start }
        guard first < indices.count, addresses[indices[first]] < end else { return [] }
        return indices[first..<indices.partitioningIndex { addresses[$0] >= end }]
    }
}
