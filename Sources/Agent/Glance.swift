import Glibc
import LinuxMemory

/// Two numbers that tell within microseconds whether it is worth looking properly, which costs a hundred times as much.
///
/// Close to a limit the agent looks twenty times a second; a service that rests there must not pay for it.
struct Glance: ~Copyable {
    private let resident: Int32
    private let charged: Int32
    private var last = 0.0
    private static let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))

    /// At a process, and at the cgroup with the tightest limit, where there is one.
    init(pid: Int32, cgroup: CgroupMemory?) {
        resident = open("/proc/\(pid)/statm", O_RDONLY | O_CLOEXEC)
        guard let limit = cgroup?.tightest, let version = cgroup?.version else {
            charged = -1
            return
        }
        charged = open(
            limit.path + (version == 1 ? "/memory.usage_in_bytes" : "/memory.current"), O_RDONLY | O_CLOEXEC)
    }

    deinit {
        if resident >= 0 { close(resident) }
        if charged >= 0 { close(charged) }
    }

    /// Remembers the present as what `hasRisen` compares with.
    mutating func settle() { last = now() ?? 0 }

    /// More than `tolerance` bytes came since, or it cannot be told.
    func hasRisen(by tolerance: Double) -> Bool {
        guard let now = now() else { return true }
        return now - last > tolerance
    }

    /// Page cache counts too, here: that is what the proper look is for.
    private func now() -> Double? {
        if charged >= 0 { return number(charged, field: 0) }
        return number(resident, field: 1).map { $0 * Self.pageSize }
    }

    private func number(_ file: Int32, field: Int) -> Double? {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { bytes -> Double? in
            let count = pread(file, bytes.baseAddress, bytes.count, 0)
            guard count > 0 else { return nil }
            var index = 0
            var value = 0.0
            for byte in bytes[..<count] {
                switch byte {
                case 48...57: value = value * 10 + Double(byte - 48)
                case _ where index == field: return value
                default: (index, value) = (index + 1, 0)
                }
            }
            return index == field ? value : nil
        }
    }
}
