import Algorithms

// Lists with an element for each block of a heap, of which there may be 50 millions.

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

/// Sizes of blocks in 4 bytes each; those of 4 GiB and more apart.
struct SizeList: RandomAccessCollection {
    private var sizes: ContiguousArray<UInt32> = []
    private var large: [Int: UInt64] = [:]

    init(_ all: some Collection<UInt64>) {
        sizes.reserveCapacity(all.count)
        for size in all {
            if size >= UInt32.max { large[sizes.count] = size }
            sizes.append(UInt32(clamping: size))
        }
    }

    var startIndex: Int { 0 }
    var endIndex: Int { sizes.count }
    subscript(index: Int) -> UInt64 {
        let size = sizes[index]
        return size == .max ? large[index] ?? UInt64(size) : UInt64(size)
    }
}

/// Numbers in 2 bytes each, or in 4 once one of them does not fit.
struct SmallNumbers: RandomAccessCollection {
    private var narrow: ContiguousArray<UInt16> = []
    private var wide: ContiguousArray<UInt32> = []
    private var isWide = false

    init() {}
    init(zeros count: Int) { narrow = ContiguousArray(repeating: 0, count: count) }

    var startIndex: Int { 0 }
    var endIndex: Int { isWide ? wide.count : narrow.count }

    subscript(index: Int) -> UInt32 {
        get { isWide ? wide[index] : UInt32(narrow[index]) }
        set {
            makeRoom(for: newValue)
            if isWide { wide[index] = newValue } else { narrow[index] = UInt16(newValue) }
        }
    }

    mutating func reserveCapacity(_ count: Int) { narrow.reserveCapacity(count) }

    mutating func append(_ number: UInt32) {
        makeRoom(for: number)
        if isWide { wide.append(number) } else { narrow.append(UInt16(number)) }
    }

    private mutating func makeRoom(for number: UInt32) {
        guard !isWide, number > UInt16.max else { return }
        isWide = true
        wide.reserveCapacity(narrow.capacity)
        for number in narrow { wide.append(UInt32(number)) }
        narrow = []
    }
}
