internal import Glibc

/// What /proc/PID tells about one process. Sizes are in bytes; the kernel's counters may lag by some pages a thread.
public struct ProcessMemory: Sendable, Equatable {
    public var pid: Int32
    /// The kernel's name of it; where that was cut at 15 bytes, the whole one if its executable tells.
    public var name: String
    /// When it started, in clock ticks since boot: with the pid it names a process for good.
    public var startTicks: UInt64
    /// The resident set, and what it is made of. All 0 for kernel threads and zombies.
    public var residentBytes: UInt64
    public var anonymousBytes: UInt64
    public var fileBytes: UInt64
    public var shmemBytes: UInt64
    public var swapBytes: UInt64
    public var virtualBytes: UInt64
    /// Private writable mappings, resident or not.
    public var dataBytes: UInt64
    public var pageTableBytes: UInt64
    public var threads: Int
    /// Real user and group.
    public var uid: UInt32
    public var gid: UInt32
    /// R running, S sleeping, D waiting for a device, T stopped, t traced, Z zombie, and others of proc(5).
    public var state: Character
    public var parent: Int32
    public var minorFaults: UInt64
    public var majorFaults: UInt64
    /// User and system time of all threads.
    public var cpuSeconds: Double

    /// One line: why there is no memory to tell of. Nil where there is.
    public var absence: String? {
        virtualBytes == 0 ? "process \(pid) has ended, or is a thread of the kernel" : nil
    }

    init(pid: Int32, status: KeyedNumbers, stat: ProcessStat, statm: [UInt8]) {
        self.pid = pid
        name = stat.name
        startTicks = stat.startTicks
        residentBytes = status["VmRSS"] ?? 0
        fileBytes = status["RssFile"] ?? 0
        shmemBytes = status["RssShmem"] ?? 0
        anonymousBytes = status["RssAnon"] ?? 0
        swapBytes = status["VmSwap"] ?? 0
        virtualBytes = status["VmSize"] ?? 0
        dataBytes = status["VmData"] ?? 0
        pageTableBytes = status["VmPTE"] ?? 0
        threads = Int(clamping: status["Threads"] ?? 0)
        uid = UInt32(clamping: status["Uid"] ?? 0)
        gid = UInt32(clamping: status["Gid"] ?? 0)
        state = stat.state
        parent = stat.parent
        minorFaults = stat.minorFaults
        majorFaults = stat.majorFaults
        cpuSeconds = stat.cpuSeconds
        if let (resident, shared) = parseStatm(statm) {
            anonymousBytes = resident.less(shared)
            fileBytes = shared
        }
    }
}

/// Resident and shared bytes of statm, whose other fields tell nothing more.
private func parseStatm(_ text: [UInt8]) -> (resident: UInt64, shared: UInt64)? {
    let fields = text.split(whereSeparator: isBlank).map { field in
        var field = field
        return parseNumber(&field)
    }
    guard fields.count > 2, let resident = fields[1], let shared = fields[2] else { return nil }
    let page = UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
    return (resident.multiplied(by: page), shared.multiplied(by: page))
}

/// The fields of /proc/PID/stat that `status` does not have.
struct ProcessStat {
    var name: String
    var state: Character
    var parent: Int32
    var minorFaults: UInt64
    var majorFaults: UInt64
    var cpuSeconds: Double
    var startTicks: UInt64

    /// The name stands in parentheses and may itself hold parentheses, blanks and line ends: it ends at the last one.
    init?(_ text: [UInt8]) {
        guard let open = text.firstIndex(of: UInt8(ascii: "(")), let close = text.lastIndex(of: UInt8(ascii: ")")),
            open < close
        else { return nil }
        name = String(decoding: text[(open + 1)..<close], as: UTF8.self)
        let fields = text[(close + 1)...].split { isBlank($0) || $0 == UInt8(ascii: "\n") }
            .map { String(decoding: $0, as: UTF8.self) }
        // Numbered as in proc(5), where the state is field 3.
        func number(_ field: Int) -> UInt64? { UInt64(fields[field - 3]) }
        guard fields.count >= 20, let state = fields[0].first, fields[0].count == 1, let parent = Int32(fields[1]),
            let minorFaults = number(10), let majorFaults = number(12), let user = number(14), let system = number(15),
            let startTicks = number(22)
        else { return nil }
        self.state = state
        self.parent = parent
        self.minorFaults = minorFaults
        self.majorFaults = majorFaults
        self.startTicks = startTicks
        cpuSeconds = (Double(user) + Double(system)) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
    }
}
