import AgentCore
import CLinux
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory
public import Logging

/// `heaptide run`: starts a service with the probe, watches it, and ends as it ends.
public struct ServiceRun {
    private let command: [String]
    /// What the service is given: it need not be text.
    private let arguments: [[UInt8]]
    private let options: AgentOptions
    private let logger: Logger

    /// - Parameters:
    ///   - command: the program and its arguments, not empty.
    ///   - arguments: the same as bytes, where they are no text.
    public init(command: [String], arguments: [[UInt8]]? = nil, options: AgentOptions, logger: Logger) {
        self.command = command
        self.arguments = arguments ?? command.map { Array($0.utf8) }
        self.options = options
        self.logger = logger
    }

    /// To be called while the process has one thread. Returns the service's exit status, 128 + n after signal n.
    ///
    /// What fails before the service runs is thrown; whatever fails later is logged, and the service goes on.
    public func run() throws(AgentError) -> Int32 {
        let program = try findProgram()
        try Folders.prepare(options.output, mode: 0o755, what: "snapshots")
        let files = ProcFS()
        let limit = limit(files)
        var environment = currentEnvironment()
        let place = prepareLedgers(program, &environment, limit: limit)
        let signals = try SignalQueue()
        _ = clinux_become_subreaper()
        let pid = try start(program, environment, signals)
        let overseer = Overseer(options: options, logger: logger, signals: signals)
        let name = options.name ?? command[0].split(separator: "/").last.map(String.init) ?? "service"
        let watch = Watch(
            pid: pid, name: name, place: place, core: AgentCore(policy: options.policy), files: files)
        overseer.add(watch)
        let limitText = limit.map { "limit \(ByteSize.text($0))" } ?? "no memory limit (give one with --memory-limit)"
        logger.info("started \(name) as process \(pid); \(limitText)\(place.map { "; ledgers in \($0.folder)" } ?? "")")
        let status = supervise(pid, overseer)
        logger.info("\(name) \(status.text)")
        finish(watch, overseer, status, place)
        return status.exitCode
    }

    // MARK: Before

    private func findProgram() throws(AgentError) -> String {
        guard let name = command.first, !name.isEmpty else {
            throw AgentError(.commandNotFound, "no command was given: heaptide run -- COMMAND")
        }
        if let path = findExecutable(name) { return path }
        if name.contains("/"), access(name, F_OK) == 0 {
            throw AgentError(.commandNotExecutable, "\(name): cannot be executed: check that it is a program")
        }
        throw AgentError(.commandNotFound, "\(name): command not found")
    }

    /// The tighter of the cgroup's limit and --memory-limit.
    private func limit(_ files: ProcFS) -> Double? {
        let cgroup = ((try? files.cgroup(of: getpid())) ?? nil)?.tightest.map { Double($0.limitBytes) }
        return [cgroup, options.memoryLimit.map { Double($0.bytes) }].compactMap { $0 }.min()
    }

    /// Sets what the probe reads. Nil, and one line that says so, where the probe cannot work.
    private func prepareLedgers(
        _ program: String, _ environment: inout Environment, limit: Double?
    ) -> LedgerPlace? {
        guard let probe = Probe.locate(options.probe) else {
            let file = options.probe ?? "\(Probe.fileName) beside heaptide"
            logger.warning("there is no probe (\(file)): memory is watched, allocations are not; give --probe FILE")
            return nil
        }
        if let obstacle = Probe.obstacle(inPath: probe) {
            logger.warning("\(probe): \(obstacle): memory is watched, allocations are not")
            return nil
        }
        if let obstacle = Probe.obstacle(in: program) {
            logger.warning("\(program) cannot take the probe, \(obstacle): memory is watched, allocations are not")
            return nil
        }
        do throws(AgentError) {
            let place = try LedgerPlace(given: options.ledgerFolder, environment: environment)
            let others = environment["LD_PRELOAD"].map { $0.isEmpty ? "" : " " + $0 } ?? ""
            environment["LD_PRELOAD"] = probe + others
            environment["HEAPTIDE_DIR"] = place.folder
            if let interval = options.sampleInterval {
                environment["HEAPTIDE_SAMPLE_INTERVAL"] = String(interval.bytes)
            }
            // A ledger larger than this would itself be a burden under the limit. An exact one needs its room.
            let isExact = environment["HEAPTIDE_SAMPLE_INTERVAL"] == "1"
            if let limit, environment["HEAPTIDE_LEDGER_SIZE"] == nil, !isExact {
                environment["HEAPTIDE_LEDGER_SIZE"] = String(UInt64(min(max(limit * 0.02, 0x1p21), 0x1p24)))
            }
            return place
        } catch {
            logger.warning("\(error); memory is watched, allocations are not")
            return nil
        }
    }

    private func start(
        _ program: String, _ environment: Environment, _ signals: SignalQueue
    ) throws(AgentError) -> pid_t {
        func spawn(_ path: String, _ arguments: [[UInt8]]) -> Result<pid_t, SpawnFailure> {
            Spawn(
                path: path, arguments: arguments, environment: environment.entries, mask: signals.inheritedMask,
                defaults: signals.childDefaults
            ).start()
        }
        var result = spawn(program, arguments)
        // A script without #!: a shell runs it itself.
        if case .failure(let failure) = result, failure.errno == ENOEXEC {
            result = spawn("/bin/sh", [Array("sh".utf8), Array(program.utf8)] + arguments.dropFirst())
        }
        switch result {
        case .success(let pid): return pid
        case .failure(let failure):
            throw AgentError(
                failure.errno == ENOENT ? .commandNotFound : .commandNotExecutable,
                "\(command[0]): cannot be executed: \(reason(failure.errno))")
        }
    }

    // MARK: While it runs

    private func supervise(_ pid: pid_t, _ overseer: Overseer) -> ProcessStatus {
        var status: ProcessStatus?
        overseer.onEnd(of: pid) { status = $0 }
        overseer.loop(
            until: { status != nil },
            onSignal: { number, isFromKernel in
                // The terminal signals the whole group: the service has it already.
                if !isFromKernel { kill(pid, number) }
                if number == SIGTSTP { SignalQueue.stop() }
            })
        return status ?? .exited(0)
    }

    // MARK: After

    private func finish(_ watch: Watch, _ overseer: Overseer, _ status: ProcessStatus, _ place: LedgerPlace?) {
        let ending = watch.ending(status)
        if status == .signaled(SIGKILL), ending.cause == .killed { logger.info("finishing what its ledger holds") }
        overseer.remove(watch)
        overseer.beginEnding()
        if ending.cause == .killed { _ = watch.takeOomKill() }
        overseer.step(watch, .ended(ending))
        overseer.finishHelpers()
        overseer.settle(watch.remainingLedgers(), of: watch)
        overseer.finishHelpers()
        if ending.cause == .exited, watch.core.snapshot == nil {
            let hint = "--snapshot-at-exit takes one in any case"
            logger.info("no snapshot: memory neither grew steadily for long nor came near a limit; \(hint)")
        }
        guard let place, place.isPrivate, rmdir(place.folder) != 0, errno == ENOTEMPTY else { return }
        logger.notice(
            "ledgers stay in \(place.folder): of processes that still run, or of which no snapshot could be written")
    }
}
