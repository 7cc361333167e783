import AgentCore
import FoundationEssentials
import Glibc
import HeapLedger
import HeapProfile
import Inspection
import LinuxMemory
import Snapshot

/// All that a helper process needs to write one snapshot.
struct CaptureRequest: Codable {
    var output: String
    var process: ProcessState
    /// The ledger to read, where there is one.
    var ledger: String?
    /// Read the heap itself as well.
    var heap: HeapRequest?
    var history: [MemoryPoint] = []
    var alerts: [Alert] = []
    var counts: [CollectionCounts] = []

    var json: [UInt8] { (try? JSONEncoder().encode(self)).map(Array.init) ?? [] }
}

extension CaptureRequest {
    /// Of the watched service's largest process, with what the agent remembers of all of them.
    init(_ watch: Watch, _ trigger: Trigger, _ situation: Situation, output: String, host: String) {
        let focus = watch.focus
        let tightest = watch.cgroup?.tightest
        let isCgroup = situation.limitBytes.map { $0 == tightest.map { Double($0.limitBytes) } } ?? false
        process = ProcessState(
            name: focus.map { $0.pid == watch.pid ? watch.name : $0.name } ?? watch.name,
            commandLine: watch.commandLine, pid: focus?.pid ?? watch.pid, capturedAt: Clock.unix(),
            trigger: trigger.rawValue, residentBytes: focus?.residentBytes ?? 0,
            anonymousBytes: focus?.anonymousBytes ?? 0, threads: focus?.threads ?? 0,
            limitBytes: situation.limitBytes.map(whole),
            limitSource: situation.limitBytes.map { _ in isCgroup ? "cgroup" : "--memory-limit" },
            usageBytes: whole(situation.usedBytes), unreclaimableBytes: tightest?.unreclaimableBytes,
            cgroupPath: watch.cgroup?.path, host: host, extra: focus.map(extraFigures) ?? [:])
        if situation.isOutOfMemory { process.isOutOfMemory = true }
        process.extra.merge(watch.cgroup.map(extraFigures) ?? [:]) { $1 }
        if let left = situation.secondsToLimit { process.extra["secondsToLimit"] = left }
        self.output = output
        ledger = watch.ledgerPath
        history = watch.readings
        alerts = watch.alerts
        counts = watch.collectionCounts(of: process.pid)
    }

    /// Of a process beside the watched one that has ended.
    init(leftover: String, pid: Int32, _ trigger: Trigger, of watch: Watch, output: String, host: String) {
        process = ProcessState(
            name: (try? LedgerFile(path: leftover).programName()) ?? watch.name, commandLine: nil, pid: pid,
            capturedAt: Clock.unix(), trigger: trigger.rawValue, cgroupPath: watch.cgroup?.path, host: host)
        self.output = output
        ledger = leftover
        counts = watch.collectionCounts(of: pid)
    }

    /// Of any running process, from /proc alone.
    init(pid: Int32, memoryLimit: ByteSize?, ledgerFolder: String?, output: String) throws(AgentError) {
        let files = ProcFS()
        let memory: ProcessMemory
        do { memory = try files.process(pid) } catch { throw AgentError(.processUnreadable, "\(error)") }
        let cgroup = (try? files.cgroup(of: pid)) ?? nil
        process = ProcessState(
            name: memory.name, commandLine: files.commandLine(of: pid)?.joined(separator: " "), pid: pid,
            capturedAt: Clock.unix(),
            trigger: Trigger.manual.rawValue, residentBytes: memory.residentBytes,
            anonymousBytes: memory.anonymousBytes, threads: memory.threads,
            unreclaimableBytes: cgroup?.tightest?.unreclaimableBytes, cgroupPath: cgroup?.path, host: hostName(),
            extra: extraFigures(memory))
        let used = memory.anonymousBytes &+ memory.shmemBytes
        let own = memoryLimit.map { (limit: $0.bytes, used: used, "--memory-limit") }
        let group = cgroup?.tightest.map { (limit: $0.limitBytes, used: $0.unreclaimableBytes, "cgroup") }
        if let tighter = [own, group].compactMap(\.self).min(by: { $0.limit < $1.limit }) {
            (process.limitBytes, process.usageBytes, process.limitSource) = tighter
        }
        self.output = output
        let key = ProcessKey(pid: pid, startTicks: memory.startTicks)
        ledger = LedgerFolder(path: LedgerPlace(of: key, given: ledgerFolder).folder).ledgers(of: key).first
        if ledger == nil, readBytes("/proc/\(pid)/environ") == nil {
            let why = memory.absence ?? "process \(pid) may not be read: run heaptide as its user, or as root"
            throw AgentError(.processUnreadable, why)
        }
    }
}

/// Writing a snapshot. Everything that needs more than a few MiB happens here, in a process that ends afterwards.
public enum Capture {
    /// `heaptide capture`: what the agent asks its helper for, as JSON on standard input.
    public static func perform(request: [UInt8]) throws {
        guard let request = try? JSONDecoder().decode(CaptureRequest.self, from: Data(request)) else {
            throw AgentError(.system, "capture: standard input holds no request: this command serves `heaptide run`")
        }
        try write(request)
    }

    /// `heaptide snapshot`: of a process that runs, now. Symbols are resolved once the file is durable.
    ///
    /// Returns what is missing in it, one line each.
    public static func take(
        pid: Int32, output: String, memoryLimit: ByteSize? = nil, ledgerFolder: String? = nil, readsHeap: Bool = false,
        freeze: FreezeMethod? = nil, quotesTexts: Bool = false
    ) throws -> [String] {
        var request = try CaptureRequest(
            pid: pid, memoryLimit: memoryLimit, ledgerFolder: ledgerFolder, output: output)
        if readsHeap {
            request.heap = HeapRequest(pid: pid, ledger: request.ledger, freeze: freeze, quotesTexts: quotesTexts)
        }
        try write(request)
        guard request.ledger != nil else {
            // Who holds the heap is known without it.
            if readsHeap { return [] }
            return [
                "process \(pid) has no ledger: its allocations are not in the snapshot; \(Probe.remedy(for: pid))"
            ]
        }
        do {
            try Inspection.symbolize(path: output)
            return []
        } catch {
            return ["no symbols yet (\(error)): `heaptide analyze` looks them up"]
        }
    }

    private static func write(_ request: CaptureRequest) throws {
        var process = request.process
        process.descriptors = ProcFS().descriptorCount(process.pid)
        let writer = try SnapshotWriter(path: request.output)
        let profile: Result<HeapProfile, HeapLedgerError>?
        do {
            try writer.write(process: process)
            profile = readProfile(request)
            if case .success(let profile)? = profile { try writer.write(profile: profile) }
        } catch {
            writer.abandon()
            throw error
        }
        // The evidence is in: what fails from here on leaves a `.partial` with all that was written before.
        try writer.write(history: request.history, alerts: request.alerts, counts: request.counts)
        try writer.finish()
        if let heap = request.heap { try addHeap(heap, request, profile) }
        // The file is sound without it, but whoever asked must know that the ledger is still needed.
        _ = try profile?.get()
    }

    private static func readProfile(_ request: CaptureRequest) -> Result<HeapProfile, HeapLedgerError>? {
        guard let path = request.ledger else { return nil }
        return Result { () throws(HeapLedgerError) in
            let ended = [Trigger.killed, .exit].contains { $0.rawValue == request.process.trigger }
            return try LedgerFile(path: path).profile(at: ended ? nil : Clock.monotonicNanoseconds())
        }
    }

    /// The snapshot is whole without it, and stays.
    private static func addHeap(
        _ heap: HeapRequest, _ request: CaptureRequest, _ profile: Result<HeapProfile, HeapLedgerError>?
    ) throws {
        do {
            let samples = (try? profile?.get())?.samples ?? []
            try SnapshotReader.addHeap(heap.survey(samples), to: request.output)
        } catch {
            let text = "who holds the heap is not in the snapshot \(request.output): \(error)"
            guard request.process.trigger != Trigger.manual.rawValue else { throw AgentError(.system, text) }
            let line = Array("heaptide: \(text)\n".utf8)
            _ = Glibc.write(STDERR_FILENO, line, line.count)
        }
    }
}

private func whole(_ bytes: Double) -> UInt64 { UInt64(min(max(0, bytes.isFinite ? bytes : 0), 0x1p62)) }

private func extraFigures(_ memory: ProcessMemory) -> [String: Double] {
    [
        "fileBytes": Double(memory.fileBytes), "shmemBytes": Double(memory.shmemBytes),
        "swapBytes": Double(memory.swapBytes), "pageTableBytes": Double(memory.pageTableBytes),
        "cpuSeconds": memory.cpuSeconds, "virtualBytes": Double(memory.virtualBytes),
        "dataBytes": Double(memory.dataBytes), "majorFaults": Double(memory.majorFaults),
        "minorFaults": Double(memory.minorFaults),
    ]
}

private func extraFigures(_ cgroup: CgroupMemory) -> [String: Double] {
    var figures: [String: Double] = [:]
    figures["cgroupPressureSomeAvg10"] = cgroup.pressureSomeAvg10
    figures["cgroupSwapBytes"] = cgroup.swapBytes.map { Double($0) }
    figures["cgroupSwapLimitBytes"] = cgroup.swapLimitBytes.map { Double($0) }
    figures["cgroupOomKills"] = cgroup.oomKills.map { Double($0) }
    return figures
}
