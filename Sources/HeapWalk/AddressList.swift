import Algorithms

/// Ascending addresses of blocks in 4 bytes each.
struct AddressList {
    /// Blocks are aligned to 8 bytes at the least.
    private var low: ContiguousArray<UInt32> = []
    /// Where the bits above change, and what they are from there on.
    private var changes: [(first: Int, high: UInt64)] = []

    init(_ addresses: some Collection<UInt64>) {
        low.reserveCapacity(addresses.count)
        for address in addresses {
            if changes.last?.high != address >> 35 { changes.append((low.count, address >> 35)) }
            low.append(UInt32(truncatingIfNeeded: address >> 3))
        }
    }

    subscript(index: Int) -> UInt64 {
        let change = changes[changes.partitioningIndex { $0.first > index } - 1]
        return change.high << 35 | UInt64(low[index]) << 3
    }
}
