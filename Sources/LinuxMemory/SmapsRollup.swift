/// The memory map of a process, summed by the kernel (/proc/PID/smaps_rollup, from Linux 4.14). Sizes are in bytes.
public struct SmapsRollup: Sendable, Equatable {
    public var residentBytes: UInt64
    /// Each shared page divided by the number of its users.
    public var proportionalBytes: UInt64
    public var privateCleanBytes: UInt64
    public var privateDirtyBytes: UInt64
    public var anonymousBytes: UInt64
    /// Given back with MADV_FREE but not yet taken: counted as resident and anonymous, and yet as good as free.
    public var lazyFreeBytes: UInt64
    public var hugePageBytes: UInt64
    public var swapBytes: UInt64
    public var lockedBytes: UInt64

    init?(_ numbers: KeyedNumbers) {
        guard let resident = numbers["Rss"] else { return nil }
        residentBytes = resident
        proportionalBytes = numbers["Pss"] ?? 0
        privateCleanBytes = numbers["Private_Clean"] ?? 0
        privateDirtyBytes = numbers["Private_Dirty"] ?? 0
        anonymousBytes = numbers["Anonymous"] ?? 0
        lazyFreeBytes = numbers["LazyFree"] ?? 0
        hugePageBytes = numbers["AnonHugePages"] ?? 0
        swapBytes = numbers["Swap"] ?? 0
        lockedBytes = numbers["Locked"] ?? 0
    }
}
