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

    /// Index of the block that `address` lies in.
    package func index(containing address: UInt64) -> Int? {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        return low > 0 && address - blocks[low - 1].address < max(1, blocks[low - 1].size) ? low - 1 : nil
    }

    package func index(startingAt address: UInt64) -> Int? {
        index(containing: address).flatMap { blocks[$0].address == address ? $0 : nil }
    }
}
