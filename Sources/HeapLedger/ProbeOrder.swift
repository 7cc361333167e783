import CHeapLedger
import Glibc

/// What a running probe can be told. It looks at its orders whenever it comes to a sample: the hot path pays nothing, and
/// a thread that allocates little follows late.
public enum ProbeOrder: Sendable, Equatable {
    /// Take no new samples. Frees of those that live are still booked, so that nothing looks like a leak afterwards.
    case pause
    case resume
    /// Finest mean bytes between samples; 1 for every allocation.
    case interval(UInt64)
}

extension LedgerFile {
    /// Writes an order into the ledger at `path`, whose probe follows it as long as its process lives.
    public static func give(_ order: ProbeOrder, to path: String) throws(HeapLedgerError) {
        // One descriptor for both, and no link: what is written to is the ledger that was looked at.
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
        guard descriptor >= 0 else {
            throw HeapLedgerError(.unreadable, path, "cannot write to the ledger: run as the user who owns the process")
        }
        defer { close(descriptor) }
        let header = try validated(descriptor, path: path).0
        let isWritten =
            switch order {
            case .pause: pause(header, descriptor)
            case .resume: resume(header, descriptor)
            case .interval(let bytes): write(bytes, at: \.order_interval, descriptor)
            }
        guard isWritten else {
            throw HeapLedgerError(.unreadable, path, "cannot write to the ledger: \(String(cString: strerror(errno)))")
        }
    }

    /// Once paused, it is paused since then.
    private static func pause(_ header: hl_header, _ descriptor: Int32) -> Bool {
        guard header.order_pause != 1 else { return true }
        return write(time(header, monotonicNow()), at: \.order_pause_ns, descriptor)
            && write(UInt32(1), at: \.order_pause, descriptor)
    }

    /// The ledger's time goes on where it stood still.
    private static func resume(_ header: hl_header, _ descriptor: Int32) -> Bool {
        guard header.order_pause == 1 else { return true }
        let whole = monotonicNow() &- header.start_monotonic_ns
        return write(whole &- min(whole, header.order_pause_ns), at: \.order_paused_ns, descriptor)
            && write(UInt32(0), at: \.order_pause, descriptor)
    }

    private static func monotonicNow() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    /// Such a word is written at once: it lies within one page.
    private static func write<Word: FixedWidthInteger>(
        _ word: Word, at field: KeyPath<hl_header, Word>, _ descriptor: Int32
    ) -> Bool {
        guard let offset = MemoryLayout<hl_header>.offset(of: field) else { return false }
        return withUnsafeBytes(of: word) { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) == $0.count }
    }
}
