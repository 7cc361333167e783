import Glibc
import RemoteProcess

/// Brings the probe into a running process, and makes it inert there.
///
/// A call interrupts one thread of the process at a time, for some milliseconds, and leaves none stopped, whatever becomes
/// of the caller.
public struct Attachment: Sendable {
    public struct Settings: Sendable {
        /// Folder of the ledger as the process sees it, absolute.
        public var ledgerFolder: String
        /// Mean bytes between two samples; nil for the usual one.
        public var interval: UInt64?
        /// Bytes of the ledger; nil for the usual size.
        public var ledgerSize: UInt64?

        public init(ledgerFolder: String, interval: UInt64? = nil, ledgerSize: UInt64? = nil) {
            self.ledgerFolder = ledgerFolder
            self.interval = interval
            self.ledgerSize = ledgerSize
        }
    }

    /// What came of it.
    public struct Attached: Sendable {
        /// How many call slots lead to the probe now.
        public var slots: Int
        /// Path of the ledger as the process sees it.
        public var ledger: String
    }

    public let pid: Int32
    /// Seconds to wait for a thread to come to a place where it may be interrupted.
    public var patience = 5.0

    public init(pid: Int32) { self.pid = pid }

    /// Why the probe at `probe` cannot be attached now; nil where nothing speaks against it. Does not touch the process.
    public func obstacle(probe: String) -> AttachError? {
        do throws(AttachError) {
            let target = try AttachTarget(pid)
            if let there = try ProbeInProcess.find(in: target) {
                try checkAttachable(there)
            } else {
                _ = try path(of: probe)
            }
            return nil
        } catch {
            return error
        }
    }

    /// Loads the library `probe`, unless it is there from an earlier time, and leads the calls of all modules to it.
    ///
    public func attach(probe: String, _ settings: Settings) throws(AttachError) -> Attached {
        guard settings.ledgerFolder.utf8.count < ProbeRequest.placeCapacity else {
            throw AttachError(.system, "\(settings.ledgerFolder): the folder's name is too long")
        }
        var target = try AttachTarget(pid)
        if let there = try ProbeInProcess.find(in: target) {
            try checkAttachable(there)
        } else {
            try load(try path(of: probe), into: target)
            target = try AttachTarget(pid)
        }
        let request = ProbeRequest(
            command: .attach, interval: settings.interval ?? 0, ledgerSize: settings.ledgerSize ?? 0,
            directory: settings.ledgerFolder)
        let answer = try control(target, request)
        switch answer.result {
        case .done: return Attached(slots: answer.slots, ledger: answer.place)
        case .noLedger:
            throw AttachError(
                .system,
                "process \(pid) cannot write a ledger into \(settings.ledgerFolder), why it said on its standard error: "
                    + "name another folder with --ledgers")
        case .noAllocator:
            throw AttachError(.unsafe, "process \(pid): no module of it defines malloc and free as dynamic symbols")
        case .busy:
            throw AttachError(.wrongState, "process \(pid): a thread is still in the probe of the last time: try again")
        case .wrongLife, .loaderBusy, nil:
            throw AttachError(.wrongState, "process \(pid): somebody else attached it meanwhile")
        }
    }

    /// Leads the calls back and closes the ledger. The library stays mapped, unused.
    ///
    /// - Returns: how many call slots were led back.
    public func detach() throws(AttachError) -> Int {
        let target = try AttachTarget(pid)
        guard let probe = try ProbeInProcess.find(in: target), probe.life != .idle else {
            throw AttachError(.wrongState, "process \(pid) has no probe attached")
        }
        guard probe.life == .attached else {
            throw AttachError(
                .wrongState, "process \(pid) was started with the probe (LD_PRELOAD), which stays for its whole life")
        }
        let end = monotonicMilliseconds() + Int64(patience * 1000)
        var answer = try control(target, ProbeRequest(command: .detach))
        while answer.result == .loaderBusy {
            guard monotonicMilliseconds() < end else {
                throw AttachError(.noSafePlace, "process \(pid): its dynamic linker is kept busy: try again")
            }
            usleep(UInt32.random(in: 1000...8000))
            answer = try control(target, ProbeRequest(command: .detach))
        }
        // Busy: it is inert, though a halted thread keeps the ledger mapped.
        guard answer.result == .done || answer.result == .busy else {
            throw AttachError(.wrongState, "process \(pid): somebody else detached it meanwhile")
        }
        return answer.slots
    }

    // MARK: Steps

    private func checkAttachable(_ probe: ProbeInProcess) throws(AttachError) {
        switch probe.life {
        case .idle: return
        case .attached: throw AttachError(.wrongState, "process \(pid) has the probe attached already")
        case .preloaded, .unborn:
            throw AttachError(.wrongState, "process \(pid) was started with the probe and records already")
        }
    }

    private func load(_ path: String, into target: AttachTarget) throws(AttachError) {
        guard let dlopen = target.function("dlopen", "__libc_dlopen_mode") else {
            throw AttachError(.unsafe, "process \(pid): its C library has no dlopen")
        }
        let name = Array(path.utf8) + [0]
        guard name.count <= Injection.payloadSize else { throw AttachError(.system, "\(path): the name is too long") }
        let dlerror = target.function("dlerror")
        let flags: UInt64 = 0x1002  // RTLD_NODELETE | RTLD_NOW
        let outcome = try target.call(payload: name, within: patience) { payload in
            [RemoteCall(function: dlopen, first: payload, second: flags)]
                + (dlerror.map { [RemoteCall(function: $0)] } ?? [])
        }
        let after = try AttachTarget(pid)
        guard try ProbeInProcess.find(in: after) == nil else { return }
        let text =
            outcome.results.count > 1 ? outcome.results[1].flatMap { $0 == 0 ? nil : after.memory.string($0) } : nil
        throw AttachError(
            .refusedByLoader,
            "process \(pid) cannot load the probe: \(text ?? "\(path): its dynamic linker does not say why")")
    }

    private func control(
        _ target: AttachTarget, _ request: ProbeRequest
    ) throws(AttachError) -> ProbeRequest.Answer {
        guard let probe = try ProbeInProcess.find(in: target) else {
            throw AttachError(.system, "process \(pid) has lost the probe")
        }
        let outcome = try target.call(payload: request.bytes, within: patience) { payload in
            [RemoteCall(function: probe.control, first: payload)]
        }
        return ProbeRequest.Answer(outcome.payload)
    }

    /// The probe's path as the process sees it, whose root or mount namespace may be another one.
    private func path(of probe: String) throws(AttachError) -> String {
        let root = "/proc/\(pid)/root"
        guard let own = bytes(of: probe) else {
            throw AttachError(.system, "\(probe): cannot be read (\(reason(errno))): name the probe with --probe")
        }
        guard isProbe(probe) else {
            throw AttachError(.unsafe, "\(probe): is not named libheaptide-probe.so: name the probe with --probe")
        }
        guard isWhole(own) else {
            throw AttachError(.unsafe, "\(probe): is damaged or no library for this machine: install heaptide again")
        }
        for root in [root, linkTarget(root) ?? root] where root != "/" && probe.hasPrefix(root + "/") {
            return String(probe.dropFirst(root.count))
        }
        guard let there = bytes(of: root + probe), there == own else {
            throw AttachError(
                .unsafe,
                "process \(pid) sees other files (it runs in a container, or after chroot), \(probe) is not among them: "
                    + "copy it to \(root)/tmp and give --probe \(root)/tmp/\(fileName(probe))")
        }
        return probe
    }
}

/// Whether an ELF file has all that its headers speak of: mapping one that was cut short would kill the process that loads
/// it (SIGBUS).
private func isWhole(_ file: [UInt8]) -> Bool {
    guard file.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]), number(file, at: 18, size: 2) == 62 else { return false }
    let segments = number(file, at: 32, size: 8)
    let sections = number(file, at: 40, size: 8)
    let (segmentCount, sectionCount) = (number(file, at: 56, size: 2), number(file, at: 60, size: 2))
    guard segments < 1 << 32, sections < 1 << 32, segments + segmentCount * 56 <= UInt64(file.count),
        sectionCount > 0, sections + sectionCount * 64 <= UInt64(file.count)
    else { return false }
    return (0..<Int(segmentCount)).allSatisfy { index in
        let header = Int(segments) + index * 56
        let (start, size) = (number(file, at: header + 8, size: 8), number(file, at: header + 32, size: 8))
        return start <= UInt64(file.count) && size <= UInt64(file.count) - start
    }
}
