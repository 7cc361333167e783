import CHeapLedger
import Glibc
public import HeapProfile

/// An open ledger: the state that the probe keeps of one process, of a living one or of one long killed.
///
/// It reads with `pread` into small private buffers rather than through a mapping: a file that shrinks under a mapping
/// kills its reader by SIGBUS, and a mapped 1 GiB ledger would count as the agent's resident memory. Each call reads
/// afresh, so one `LedgerFile` serves for as long as the process lives. Cost: one descriptor, no memory between calls.
public struct LedgerFile: ~Copyable, Sendable {
    public let path: String
    let layout: LedgerLayout
    private let descriptor: Int32
    private let firstHeader: hl_header

    /// Opens the ledger at `path` and validates its header.
    ///
    /// A file that was cut is taken as long as modules, sites and stacks are whole: `profile(at:)` then says in its
    /// warnings which live samples are missing.
    public init(path: String) throws(HeapLedgerError) {
        self.path = path
        // O_NONBLOCK: opening a FIFO of that name must not wait for a writer. It means nothing to a regular file.
        let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard opened >= 0 else {
            throw HeapLedgerError(.unreadable, path, "cannot open the ledger: \(Self.explain(errno))")
        }
        do {
            (firstHeader, layout) = try Self.validated(opened, path: path)
        } catch {
            close(opened)
            throw error
        }
        descriptor = opened
    }

    deinit { close(descriptor) }

    /// Which process this is the ledger of, and whether it has ended by its own will so far.
    public func identity() -> ProcessIdentity {
        let header = header()
        return ProcessIdentity(
            pid: Int32(clamping: header.pid), startTicks: header.process_start_ticks,
            bootID: withUnsafeBytes(of: header.boot_id) { hexadecimal($0) },
            startTime: seconds(header.start_realtime_ns), startMonotonic: header.start_monotonic_ns,
            exited: header.state == UInt32(HL_STATE_EXITED))
    }

    public func sampling() -> Sampling { Sampling(header()) }

    /// Sums over all sites' counters: what the agent polls.
    ///
    /// Costs one pass over the site table (1 MB in a ledger of 4 MiB, well under a millisecond) through a buffer of
    /// 24 KiB. `live` is the difference of two counters and a little less exact than the sum over live samples.
    public func totals() -> (live: Estimate, allocated: Estimate, freed: Estimate) {
        var allocated = Estimate()
        var freed = Estimate()
        forEachPublished(layout.sites, hl_site.self, twice: false) { _, site in
            guard let counters = SiteCounters(site) else { return }
            allocated.add(counters.allocated)
            freed.add(counters.freed)
        }
        return (live: allocated.minus(freed), allocated: allocated, freed: freed)
    }

    /// The header as it is now, or as it was at first where the file can no longer be read.
    func header() -> hl_header {
        var header = firstHeader
        let count = withUnsafeMutableBytes(of: &header) { Self.read(descriptor, at: 0, into: $0) }
        return count == MemoryLayout<hl_header>.size && header.magic == HL_MAGIC ? header : firstHeader
    }

    /// Fills `buffer` from `offset` on; returns how many bytes there were, fewer at the end of the file or on an error.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        Self.read(descriptor, at: offset, into: buffer)
    }
}

extension LedgerFile {
    static func validated(
        _ descriptor: Int32, path: String
    ) throws(HeapLedgerError) -> (hl_header, LedgerLayout) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw HeapLedgerError(.unreadable, path, "cannot read the ledger: \(explain(errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw HeapLedgerError(.notALedger, path, "not a ledger: it is not a regular file")
        }
        var header = hl_header()
        errno = 0
        let count = withUnsafeMutableBytes(of: &header) { read(descriptor, at: 0, into: $0) }
        if count < MemoryLayout<hl_header>.size, errno != 0 {
            throw HeapLedgerError(.unreadable, path, "cannot read the ledger: \(explain(errno))")
        }
        guard count >= MemoryLayout<UInt64>.size else {
            throw HeapLedgerError(
                .notALedger, path, count == 0 ? "the file is empty: nothing was recorded" : "not a ledger: too short")
        }
        guard count == MemoryLayout<hl_header>.size || header.magic != HL_MAGIC else {
            throw HeapLedgerError(.cut, path, "the ledger was cut inside its header: nothing can be read from it")
        }
        let layout = try LedgerLayout(header, path: path)
        guard Int(clamping: status.st_size) >= layout.frames.end else {
            throw HeapLedgerError(
                .cut, path,
                "the ledger was cut to \(status.st_size) of \(header.file_size) bytes and its stacks are lost: "
                    + "copy the whole file")
        }
        return (header, layout)
    }

    private static func read(
        _ descriptor: Int32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            done += count
        }
        return done
    }

    private static func explain(_ code: Int32) -> String {
        switch code {
        case ENOENT: "there is no such file; `heaptide doctor` tells where ledgers are kept"
        case EACCES, EPERM: "permission denied; run as the user who owns the process"
        default: String(cString: strerror(code))
        }
    }
}
