import Algorithms
import RemoteProcess

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

    package init() {}

    /// Of another allocator than glibc's, whose every block somebody has written down. Sizes are what was asked for.
    package init(recorded blocks: some Sequence<(address: UInt64, size: UInt64)>) {
        self.blocks = ContiguousArray(blocks.map { HeapBlock(address: $0.address, size: $0.size) })
        self.blocks.sort { $0.address < $1.address }
    }

    /// Mappings in which there are blocks are the allocator's: what else is in them was freed, or is its books. Blocks that
    /// are not where memory is, or lie in one another, are none, whatever a ledger says.
    mutating func addHeaps(_ map: MemoryMap) {
        var end: UInt64 = 0
        let whole = blocks.count
        blocks.removeAll { block in
            guard block.address >= end, map.covers(block.address, block.size) else { return true }
            end = block.end
            return false
        }
        if blocks.count < whole {
            doubts.append(
                "\(whole - blocks.count) recorded blocks were left out: they are not where memory is, or overlap")
        }
        heaps = map.mappings.filter { mapping in
            let index = blocks.partitioningIndex { $0.address >= mapping.start }
            return !mapping.isFile && index < blocks.count && blocks[index].address < mapping.end
        }.map { $0.start..<$0.end }
    }

    package func index(startingAt address: UInt64) -> Int? { blocks.index(startingAt: address) }
}

extension ContiguousArray<HeapBlock> {
    func index(startingAt address: UInt64) -> Int? {
        let index = partitioningIndex { $0.address >= address }
        return index < count && self[index].address == address ? index : nil
    }
}
