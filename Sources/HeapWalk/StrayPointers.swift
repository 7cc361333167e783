/// Finds what the allocator itself has left behind in blocks, among the pointers into the midst of others.
///
/// Its lists of free chunks are made of pointers in the chunks, to the header before another one (glibc, malloc/malloc.c:
/// `fd` and `bk`). They stay where a chunk is handed out and not filled, as a buffer is, while what they led to is cut and
/// handed out another way. What a program itself points to in a block's midst, as a base class, the links of a list or
/// Python's objects behind their headers, lies at one place in many blocks.
struct StrayPointers {
    /// So many bytes of a block, and how far in them.
    private struct Place: Hashable {
        var size: UInt64
        var offset: UInt64

        /// Of so many blocks of the size one, if it is pointed at there, makes it a common place. In a block's last word lies
        /// the header of the chunk behind it.
        var commonShare: UInt32 { offset + 8 == size ? 2 : 32 }
    }

    /// Into a block's midst.
    private struct Pointer {
        var edge: UInt64
        var place: UInt32
    }

    /// A pointer's lowest bits may hold a language's tag.
    private static let tags: UInt64 = 7
    /// Where headers are.
    private static let alignment: UInt64 = 16
    /// Of blocks, and of places: whatever a heap is made of, there is room for these.
    private static let largest: UInt64 = 1 << 16
    private static let mostPlaces = 1 << 20

    private var blocksOfSize: [UInt64: UInt32] = [:]
    private var numbers: [Place: UInt32] = [:]
    /// By the place's number: so many more pointers make it a common one.
    private var wanted: ContiguousArray<UInt32> = []
    /// Of the block that is being looked at, then of all.
    private var current: [Pointer] = []
    private var pointers: ContiguousArray<Pointer> = []
    /// Of each block the last one that leads to it by a pointer like any other, counted from 1.
    private var certain: ContiguousArray<UInt32>

    init(_ index: BlockIndex) {
        for block in index.blocks { blocksOfSize[block.size, default: 0] += 1 }
        certain = ContiguousArray(repeating: 0, count: index.blocks.count)
    }

    /// `word`, in block `node`, leads to `target`, which is `block`.
    ///
    /// - Parameter isUnknown: nothing tells what `node` is. Whatever has a type was filled.
    mutating func see(_ word: UInt64, in node: UInt32, to target: UInt32, _ block: HeapBlock, isUnknown: Bool) {
        let offset = block.offset(of: word)
        if offset > Self.tags, offset % Self.alignment == 0, block.size <= Self.largest,
            let place = uncommon(Place(size: block.size, offset: offset)), isUnknown
        {
            current.append(Pointer(edge: DoubtfulEdges.edge(node, target), place: place))
        } else {
            certain[Int(target)] = node + 1
        }
    }

    /// All of block `node` was seen. What it points to in another way as well is certain.
    mutating func endBlock(_ node: UInt32) {
        for pointer in current where certain[Int(DoubtfulEdges.target(pointer.edge))] != node + 1 {
            pointers.append(pointer)
        }
        current.removeAll(keepingCapacity: true)
    }

    /// The number of a place, one pointer less from being a common one; nil where it is one.
    private mutating func uncommon(_ place: Place) -> UInt32? {
        guard let number = numbers[place] else {
            let more = ((blocksOfSize[place.size] ?? 1) - 1) / place.commonShare
            guard more > 0, wanted.count < Self.mostPlaces else { return nil }
            numbers[place] = UInt32(wanted.count)
            wanted.append(more)
            return UInt32(wanted.count - 1)
        }
        guard wanted[Int(number)] > 0 else { return nil }
        wanted[Int(number)] -= 1
        return wanted[Int(number)] == 0 ? nil : number
    }

    /// Those to places that stayed uncommon.
    consuming func edges() -> ContiguousArray<UInt64> {
        // A place that became common makes certain what was seen before, and so does a pair of blocks that it is of.
        let common = Set(pointers.lazy.filter { wanted[Int($0.place)] == 0 }.map(\.edge))
        return ContiguousArray(pointers.lazy.map(\.edge).filter { !common.contains($0) })
    }
}
