/// The memory of the cgroup that a process is charged to, and every limit above it. Sizes are in bytes.
public struct CgroupMemory: Sendable, Equatable {
    /// 1 or 2.
    public var version: Int
    /// The folder of the cgroup.
    public var path: String
    /// What is charged, page cache included. In v1 the kernel's figure is off by up to some hundred KiB.
    public var currentBytes: UInt64
    /// What the kernel cannot drop when memory runs short, and so what counts against a limit: all but clean page cache
    /// and reclaimable slab. Anonymous memory counts in full, also where there is swap.
    public var unreclaimableBytes: UInt64
    /// Every cgroup with a limit from this one upwards, as far as it can be seen from here, this one first.
    public var limits: [Limit]
    /// memory.stat, whose keys differ between the versions; sizes in bytes.
    public var stat: [String: UInt64]
    /// Processes of this cgroup and those below it killed for lack of memory; nil before Linux 4.13.
    public var oomKills: UInt64?
    /// Share of the last 10 seconds, in percent, during which some task waited for memory; v2 only.
    public var pressureSomeAvg10: Double?
    public var swapBytes: UInt64?
    /// Nil for no limit.
    public var swapLimitBytes: UInt64?

    /// One cgroup's limit, with that cgroup's own usage.
    public struct Limit: Sendable, Equatable {
        public var path: String
        public var limitBytes: UInt64
        public var usageBytes: UInt64
        public var unreclaimableBytes: UInt64

        /// What can still be allocated for good before the kernel kills.
        public var headroomBytes: UInt64 { limitBytes.less(unreclaimableBytes) }

        public init(path: String, limitBytes: UInt64, usageBytes: UInt64, unreclaimableBytes: UInt64) {
            self.path = path
            self.limitBytes = limitBytes
            self.usageBytes = usageBytes
            self.unreclaimableBytes = unreclaimableBytes
        }
    }

    /// The limit with the least headroom: not always the lowest one, since neighbours use up an ancestor's.
    public var tightest: Limit? { limits.min { $0.headroomBytes < $1.headroomBytes } }
}

/// current − inactive_file − active_file − slab_reclaimable + file_dirty + file_writeback: shared memory and tmpfs are
/// not on the file lists, so they stay in. v1 names the sums over a subtree `total_…` and does not tell its slab.
func unreclaimable(current: UInt64, stat: KeyedNumbers, version: Int) -> UInt64 {
    func sum(_ keys: [String]) -> UInt64 { keys.reduce(0) { $0.added(stat[$1] ?? 0) } }
    let isFirst = version == 1
    let cache = sum(isFirst ? ["total_inactive_file", "total_active_file"] : ["inactive_file", "active_file"])
    let slab = isFirst ? 0 : stat["slab_reclaimable"] ?? 0
    let dirty = sum(isFirst ? ["total_dirty", "total_writeback"] : ["file_dirty", "file_writeback"])
    return min(current, current.less(cache).less(slab).added(dirty))
}

/// `some avg10=0.12 avg60=…` of a pressure file, in percent.
func parsePressure(_ text: [UInt8]) -> Double? {
    guard let line = text.split(separator: UInt8(ascii: "\n")).first(where: { $0.starts(with: "some ".utf8) }),
        let field = line.split(separator: UInt8(ascii: " ")).first(where: { $0.starts(with: "avg10=".utf8) }),
        let value = Double(String(decoding: field.dropFirst(6), as: UTF8.self)), (0...100).contains(value)
    else { return nil }
    return value
}

/// `max` or, in v1, a number so large that it can only mean none (`PAGE_COUNTER_MAX`, rounded to pages): nil.
func parseLimit(_ text: [UInt8]) -> UInt64? {
    var text = text[...]
    guard let number = parseNumber(&text), number < 1 << 60 else { return nil }
    return number
}
