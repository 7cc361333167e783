import AgentCore
import CLinux
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory
import Logging
import Snapshot

/// The agent's one thread: waits for signals, ends and the next look, and carries out what the core decides.
final class Overseer {
    let options: AgentOptions
    let logger: Logger
    let signals: SignalQueue
    var helpers: Helpers
    private(set) var watches: [Watch] = []
    private let snapshots: SnapshotFolder
    private let host = hostName()
    private var ends: [Int32: (ProcessStatus) -> Void] = [:]
    private var failedHooks: Set<String> = []
    /// Ledgers of ended processes that are being turned into snapshots, or could not be.
    private var settling: Set<String> = []
    /// Those of them that wait their turn: several helpers at once would be a burden of their own.
    private var waiting: [Leftover] = []
    private var isSettling = false
    /// Orphans of the service that were seen to be killed, the last few.
    private var killed: [Int32] = []
    /// The service has ended: whoever started it waits.
    private var isEnding = false

    init(options: AgentOptions, logger: Logger, signals: SignalQueue) {
        self.options = options
        self.logger = logger
        self.signals = signals
        helpers = Helpers(signals: signals)
        snapshots = SnapshotFolder(path: absolute(options.output), keep: options.keep)
    }

    // MARK: Waiting

    func add(_ watch: Watch) { watches.append(watch) }
    func remove(_ watch: Watch) { watches.removeAll { $0 === watch } }

    /// `completion` is called when the child `pid` has been waited for.
    func onEnd(of pid: pid_t, _ completion: @escaping (ProcessStatus) -> Void) { ends[pid] = completion }

    /// Works until `isDone`. `onSignal` gets every signal but SIGCHLD; `onIdle` is called after each round.
    func loop(
        until isDone: () -> Bool, atLeastEvery pause: Double = 3600, descriptors: () -> [Int32] = { [] },
        onSignal: (_ number: Int32, _ isFromKernel: Bool) -> Void, onIdle: () -> Void = {}
    ) {
        reap()
        while !isDone() {
            lookAtDue()
            helpers.endOverdue(Clock.monotonic())
            onIdle()
            guard !isDone() else { return }
            wait(pause, descriptors())
            while let signal = signals.next() {
                if signal.number != SIGCHLD { onSignal(signal.number, signal.isFromKernel) }
            }
            // Also without a SIGCHLD: several ends make one signal.
            reap()
        }
    }

    private func lookAtDue() {
        for watch in watches where watch.nextLook <= Clock.monotonic() {
            if let effects = watch.look(Clock.monotonic()) { perform(effects, watch) }
            settle(watch.takeLeftovers(), of: watch)
        }
    }

    private func wait(_ pause: Double, _ descriptors: [Int32]) {
        let now = Clock.monotonic()
        let next = min(
            now + pause, watches.map(\.nextLook).min() ?? .infinity, helpers.nextDeadline ?? .infinity)
        var polled = ([signals.descriptor] + descriptors).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = (max(0, next - now) * 1000).rounded(.up)
        _ = poll(&polled, nfds_t(polled.count), Int32(min(milliseconds, 3_600_000)))
    }

    private func reap() {
        while let completion = helpers.takeFailed() { completion(.exited(127)) }
        var status: Int32 = 0
        while case let pid = waitpid(-1, &status, WNOHANG), pid > 0 {
            if let completion = helpers.remove(pid) ?? ends.removeValue(forKey: pid) {
                completion(ProcessStatus(status))
            } else if case .signaled(let number) = ProcessStatus(status), !Watch.isAskedFor(number) {
                // An orphan of the service.
                killed = killed.suffix(63) + [pid]
            }
        }
    }

    /// From now on nobody waits longer than 10 seconds for symbols and hooks.
    func beginEnding() {
        isEnding = true
        helpers.endDispensable(at: Clock.monotonic() + Self.patienceAtEnd)
    }

    private static let patienceAtEnd = 10.0
    private var hookTimeLimit: Double { isEnding ? Self.patienceAtEnd : 30 }

    /// Until all helpers are done; a second request to end leaves out what `analyze` can do later.
    func finishHelpers() {
        loop(
            until: { helpers.isEmpty },
            onSignal: { number, _ in
                if [SIGTERM, SIGINT, SIGQUIT, SIGHUP].contains(number) {
                    helpers.endDispensable(at: Clock.monotonic())
                }
            })
    }

    // MARK: Acting

    func step(_ watch: Watch, _ event: Observation.Event) {
        perform(watch.step(Clock.monotonic(), event), watch)
    }

    private func perform(_ effects: [Effect], _ watch: Watch) {
        for effect in effects {
            switch effect {
            case .capture(let trigger, let situation): capture(watch, trigger, situation)
            case .notify(let kind, let situation, let snapshot): notify(watch, kind, situation, snapshot)
            case .symbolize(let path): symbolize(path)
            case .survey: survey(watch)
            case .discardLedger: watch.discardLedgers()
            case .forget: watch.forget()
            }
        }
    }

    private func capture(_ watch: Watch, _ trigger: Trigger, _ situation: Situation) {
        if trigger.isOfLiving {
            logger.notice("\(watch.name) \(situation.figures): taking a snapshot")
        }
        let path = snapshots.newPath(
            name: watch.name, pid: watch.focus?.pid ?? watch.pid, trigger: trigger.rawValue, time: Clock.unix())
        var request = CaptureRequest(watch, trigger, situation, output: path, host: host)
        if options.readsHeap, trigger.isOfLiving {
            request.heap = watch.heapRequest
            request.heap?.quotesTexts = options.quotesTexts
        }
        helpers.startSelf(["capture"], kind: .capture, input: request.json, timeLimit: 120) { [unowned self] status in
            if status == .exited(0) {
                logger.notice("snapshot: \(path)")
                snapshots.prune(name: watch.name)
                step(watch, .captured(path: path))
            } else {
                snapshots.prune(name: watch.name)
                step(watch, .captureFailed)
                logger.error("\(failure(path, ledger: request.ledger))")
            }
        }
    }

    /// What there is in place of the snapshot at `path`.
    private func failure(_ path: String, ledger: String?) -> String {
        var text = "the snapshot \(path) could not be written"
        if access(path, F_OK) == 0 {
            text = "the snapshot \(path) holds no allocations: the ledger could not be read"
        } else if access(path + ".partial", F_OK) == 0 {
            text += "; a part of it is in \(path).partial"
        }
        guard let ledger, access(ledger, F_OK) == 0 else { return text }
        return text + "; what the probe recorded stays in \(ledger)"
    }

    /// Ledgers of processes beside the watched one that have ended: those of small heaps go, and of clean ends where
    /// nobody asked for them; what a large process left that was killed, or ended in a way that the probe does not see,
    /// becomes a snapshot.
    func settle(_ leftovers: [Members.Member], of watch: Watch) {
        for leftover in leftovers {
            guard let ledger = try? LedgerFile(path: leftover.ledger) else { continue }
            let isClean = ledger.identity().exited
            if isClean && !options.snapshotAtExit || ledger.totals().live.bytes < Self.worthASnapshot {
                unlink(leftover.ledger)
            } else {
                guard settling.insert(leftover.ledger).inserted else { continue }
                // Both, since one kill may be seen in both ways.
                let (wasSeen, wasCounted) = (killed.contains(leftover.pid), watch.takeOomKill())
                waiting.append(
                    Leftover(member: leftover, watch: watch, wasKilled: wasSeen || wasCounted, isClean: isClean))
            }
        }
        captureNextLeftover()
    }

    private struct Leftover {
        var member: Members.Member
        var watch: Watch
        /// As opposed to `_exit`, or to another program that took its place by exec: nothing tells these from a kill.
        var wasKilled: Bool
        var isClean: Bool

        var end: String {
            if wasKilled { return "was killed" }
            return isClean ? "ended by itself" : "ended without closing its ledger (by _exit, exec or a kill)"
        }
    }

    private static let worthASnapshot = 16.0 * 1_048_576

    private func captureNextLeftover() {
        guard !isSettling, !waiting.isEmpty else { return }
        isSettling = true
        let leftover = waiting.removeFirst()
        let (pid, ledger, watch) = (leftover.member.pid, leftover.member.ledger, leftover.watch)
        let trigger = leftover.wasKilled ? Trigger.killed : .exit
        let path = snapshots.newPath(name: watch.name, pid: pid, trigger: trigger.rawValue, time: Clock.unix())
        let request = CaptureRequest(leftover: ledger, pid: pid, trigger, of: watch, output: path, host: host)
        helpers.startSelf(["capture"], kind: .capture, input: request.json, timeLimit: 120) { [unowned self] status in
            isSettling = false
            defer { captureNextLeftover() }
            guard status == .exited(0) else { return logger.error("\(failure(path, ledger: ledger))") }
            unlink(ledger)
            settling.remove(ledger)
            logger.notice("snapshot of process \(pid), which \(leftover.end): \(path)")
            snapshots.prune(name: watch.name)
            step(watch, .memberEnded(pid: pid, snapshot: path, wasKilled: leftover.wasKilled))
        }
    }

    /// What the helper finds it writes into a file in memory.
    private func survey(_ watch: Watch) {
        let file = clinux_memory_file("heaptide-collections")
        guard file >= 0 else { return step(watch, .surveyed) }
        var heap = watch.heapRequest
        heap.isBrief = true
        let request = CollectionSearch(heap: heap, answer: "/proc/\(getpid())/fd/\(file)")
        helpers.startSelf(["find-collections"], kind: .survey, input: request.json, timeLimit: 600) {
            [unowned self] status in
            defer { close(file) }
            if status == .exited(0), let found = CollectionSearch.found(readBytes("/proc/self/fd/\(file)")) {
                watch.count(found, of: request.heap.pid)
            }
            step(watch, .surveyed)
        }
    }

    private func symbolize(_ path: String) {
        let limit = isEnding ? Self.patienceAtEnd : 300
        helpers.startSelf(["symbolize", "--background", path], kind: .symbolize, input: [], timeLimit: limit) {
            [unowned self] status in
            if status != .exited(0) { logger.info("no symbols in \(path) yet: `heaptide analyze` looks them up") }
        }
    }

    private func notify(_ watch: Watch, _ kind: EventKind, _ situation: Situation, _ snapshot: String?) {
        let event = Event(kind, situation, name: watch.name, pid: watch.pid, host: host, snapshot: snapshot)
        if kind != .snapshot { logger.warning("\(event.text)") }
        watch.add(Alert(time: event.time, kind: kind.rawValue, text: event.text))
        if let command = options.eventCommand {
            helpers.start(
                "/bin/sh", ["sh", "-c", command], kind: .hook, input: event.json, environment: event.variables,
                timeLimit: hookTimeLimit
            ) { [unowned self] in report($0, "--on-event \(command)") }
        }
        if let url = options.webhook {
            helpers.startSelf(["post", url], kind: .webhook, input: event.json, timeLimit: hookTimeLimit) {
                [unowned self] in report($0, "--webhook to \(Webhook.host(of: url))")
            }
        }
    }

    /// A hook that is broken is broken each time: once is enough to say so.
    private func report(_ status: ProcessStatus, _ hook: String) {
        guard status != .exited(0), failedHooks.insert(hook).inserted else { return }
        let why = status == .signaled(SIGKILL) ? "took too long and was ended" : "failed (\(status.text))"
        logger.warning("\(hook) \(why); further failures are not told")
    }
}

func hostName() -> String {
    var name = utsname()
    uname(&name)
    return withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

extension Trigger {
    /// The process runs on.
    fileprivate var isOfLiving: Bool { [.limit, .growth, .heap].contains(self) }
}
