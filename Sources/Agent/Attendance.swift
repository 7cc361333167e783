import AgentCore
import CLinux
import Glibc
import HeapLedger
import LinuxMemory
public import Logging

/// `heaptide agent`: watches processes that somebody else started.
public struct Attendance {
    public enum Target: Sendable, Equatable {
        case pid(Int32)
        /// Every process of that name, those that appear later as well.
        case name(String)
    }

    private let target: Target
    private let options: AgentOptions
    private let logger: Logger
    private let files = ProcFS()

    public init(target: Target, options: AgentOptions, logger: Logger) {
        self.target = target
        self.options = options
        self.logger = logger
    }

    /// Until the process ends, for a pid; until a signal asks to end, for a name. To be called while the process has
    /// one thread.
    public func run() throws(AgentError) {
        try Folders.prepare(options.output, mode: 0o755, what: "snapshots")
        if case .pid(let pid) = target { try check(pid) }
        let signals = try SignalQueue()
        let overseer = Overseer(options: options, logger: logger, signals: signals)
        var attended: [Attended] = []
        var isStopped = false
        var nextSearch = 0.0  // never searched
        if case .name(let name) = target { logger.info("waiting for processes named \(name)") }
        // A service that is killed every minute is not told of every minute.
        var last: Watch?
        overseer.loop(
            until: { isStopped || isOver(attended, nextSearch) }, atLeastEvery: 2,
            descriptors: { attended.map(\.descriptor).filter { $0 >= 0 } },
            onSignal: { number, _ in
                if [SIGTERM, SIGINT, SIGQUIT, SIGHUP].contains(number) { isStopped = true }
                if number == SIGTSTP { SignalQueue.stop() }
            },
            onIdle: {
                attended.removeAll { process in
                    guard process.isGone else { return false }
                    bury(process, overseer)
                    last = process.watch
                    return true
                }
                if nextSearch <= Clock.monotonic() {
                    let core = last?.core.successor() ?? AgentCore(policy: options.policy)
                    attended += newcomers(attended, core, isFirst: nextSearch == 0, overseer)
                    nextSearch = Clock.monotonic() + 2
                }
            })
        for process in attended where process.descriptor >= 0 { close(process.descriptor) }
        overseer.finishHelpers()
    }

    private struct Attended {
        var watch: Watch
        /// Readable when the process is gone; −1 where the kernel has no such descriptors.
        var descriptor: Int32

        /// Also where its parent has not waited for it yet.
        var isGone: Bool {
            guard descriptor >= 0 else { return kill(watch.pid, 0) != 0 && errno == ESRCH }
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&polled, 1, 0) == 1
        }
    }

    private func isOver(_ attended: [Attended], _ nextSearch: Double) -> Bool {
        if case .pid = target { return nextSearch > 0 && attended.isEmpty }
        return false
    }

    private func check(_ pid: Int32) throws(AgentError) {
        do {
            _ = try files.process(pid)
        } catch {
            throw AgentError(.processUnreadable, "\(error)")
        }
    }

    private func newcomers(
        _ attended: [Attended], _ core: AgentCore, isFirst: Bool, _ overseer: Overseer
    ) -> [Attended] {
        let known = Set(attended.map(\.watch.pid))
        let pids: [Int32]
        switch target {
        case .pid(let pid): pids = isFirst ? [pid] : []
        case .name(let name):
            let found = files.find(name: name).filter { $0 != getpid() }
            // A server's workers are watched with it.
            pids = found.filter { !files.descends($0, from: known.union(found)) }
        }
        return pids.filter { !known.contains($0) }.compactMap { pid in
            guard let memory = try? files.process(pid) else { return nil }
            let key = ProcessKey(pid: pid, startTicks: memory.startTicks)
            let place = LedgerPlace(of: key, given: options.ledgerFolder)
            let watch = Watch(
                pid: pid, name: options.name ?? memory.name, place: place, core: core, files: files)
            overseer.add(watch)
            logger.info("watching \(memory.name) (process \(pid)); ledgers in \(place.folder)")
            if LedgerFolder(path: place.folder).ledgers(of: key).isEmpty { logger.info("\(place.absence(of: key))") }
            return Attended(watch: watch, descriptor: clinux_process_descriptor(pid))
        }
    }

    /// Asks for the last snapshot of a process that is gone.
    private func bury(_ process: Attended, _ overseer: Overseer) {
        if process.descriptor >= 0 { close(process.descriptor) }
        logger.info("\(process.watch.name) (process \(process.watch.pid)) has ended")
        overseer.remove(process.watch)
        overseer.step(process.watch, .ended(process.watch.ending(nil)))
    }
}
