import Algorithms

/// A block that a program holds: what malloc returned, and how much of it may be used.
package struct HeapBlock: Equatable {
    package var address: UInt64
    package var size: UInt64
}

/// All blocks in use, by address.
package struct HeapInventory {
    package var blocks: ContiguousArray<HeapBlock> = []
    /// What the allocator got from the kernel to cut up, by address.
    package var heaps: [Range<UInt64>] = []
    /// Memory that the allocator itself keeps its books in: nothing in it holds anything.
    package var bookkeeping: [Range<UInt64>] = []
    /// What could not be checked or did not agree, one line each; empty for a sound inventory.
    package var doubts: [String] = []

    package func index(startingAt address: UInt64) -> Int? { blocks.index(startingAt: address) }
}

extension ContiguousArray<HeapBlock> {
    func index(startingAt address: UInt64) -> Int? {
        let index = partitioningIndex { $0.address >= address }
        return index < count && self[index].address == address ? index : nil
    }
}
