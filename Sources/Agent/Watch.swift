import AgentCore
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory
import Snapshot
import TimeSeries

/// One watched service: looks at it, remembers, and lets the core decide.
final class Watch {
    let pid: Int32
    let name: String
    let commandLine: String?
    private(set) var core: AgentCore
    private(set) var alerts: [Alert] = []
    /// When to look again (monotonic seconds).
    private(set) var nextLook = 0.0
    /// The member with the most memory: what a snapshot is taken of.
    private(set) var focus: ProcessMemory?
    private(set) var cgroup: CgroupMemory?

    let files: ProcFS
    let folder: LedgerFolder
    private var members: Members
    private var history = MemoryHistory<MemoryPoint>(time: { $0.time }, bytes: { Double($0.anonymousBytes) })
    private var ledger: OpenLedger?
    /// OOM kills of its cgroup from before it was watched, or that are put down to a process's end.
    private var oomKillsTold: UInt64?
    private var nextHistory = 0.0
    /// Of the history: a clock that is set meanwhile must not tear it apart.
    private let epoch = Clock.unix() - Clock.monotonic()
    private var collections: CollectionWatch?
    private var nextProperLook = 0.0
    private var glance = Glance(pid: 0, cgroup: nil)
    private var glanced: Int32 = 0

    init(pid: Int32, name: String, place: LedgerPlace?, core: AgentCore, files: ProcFS) {
        self.pid = pid
        self.name = name
        self.files = files
        self.core = core
        members = Members(main: pid, place: place, files: files)
        folder = LedgerFolder(path: place?.folder ?? "")
        commandLine = files.commandLine(of: pid)?.joined(separator: " ")
    }

    /// Looks once, properly if a second has passed or memory has risen. Nil where the process can no longer be read.
    func look(_ now: Double) -> [Effect]? {
        nextLook = now + core.interval
        if now < nextProperLook, !glance.hasRisen(by: tolerance) { return [] }
        let effects = lookProperly(now)
        nextProperLook = now + 1
        nextLook = now + core.interval
        return effects
    }

    /// A fiftieth of what is left until the limit.
    private var tolerance: Double { (core.occupancy?.headroom ?? .infinity) / 50 }

    private func lookProperly(_ now: Double) -> [Effect]? {
        guard let main = try? files.process(pid) else { return nil }
        // A zombie has no memory left to read: its end is on its way.
        guard main.state != "Z", main.state != "X" else { return [] }
        members.refresh()
        let others = members.list.filter { $0.pid != pid }.compactMap { try? files.process($0.pid) }
            .filter { $0.state != "Z" && $0.state != "X" }
        let largest = others.max { $0.ownBytes < $1.ownBytes }
        focus = largest.map { $0.ownBytes > main.ownBytes ? $0 : main } ?? main
        let limited = cgroup?.tightest?.path
        cgroup = (try? files.cgroup(of: pid)) ?? nil
        oomKillsTold = oomKillsTold ?? cgroup?.oomKills
        if cgroup?.tightest?.path != limited || focus?.pid != glanced { glanceAnew() }
        glance.settle()
        remember(main, others, now)
        let counted = collections?.counted(now).map { step(now, $0) } ?? []
        return counted
            + step(
                now,
                .memory(
                    MemoryReading(
                        process: ProcessKey(pid: pid, startTicks: main.startTicks),
                        ownBytes: Double(ownBytes([main] + others)),
                        cgroup: cgroup?.tightest.map {
                            Occupancy(used: Double($0.unreclaimableBytes), limit: Double($0.limitBytes))
                        },
                        oomKills: cgroup?.oomKills)))
    }

    func step(_ now: Double, _ event: Observation.Event) -> [Effect] {
        core.step(Observation(time: now, event: event))
    }

    /// From now on these are counted.
    func count(_ found: [FoundCollection], of pid: Int32) {
        collections = CollectionWatch(found, of: pid, after: collections)
    }

    /// Of one of the service's processes, since the clock of the history.
    func collectionCounts(of pid: Int32) -> [CollectionCounts] {
        core.countedCollections(of: pid).map { reading, points in
            CollectionCounts(
                title: reading.title, kind: reading.kind, isSample: reading.identity.isSample,
                bytesPerEntry: reading.bytesPerEntry,
                times: points.map { epoch + $0.time }, counts: points.map(\.value))
        }
    }

    /// Of the focus, as far as there is room beside it.
    var heapRequest: HeapRequest {
        HeapRequest(pid: focus?.pid ?? pid, ledger: ledgerPath, room: sharedHeadroom)
    }

    func refreshMembers() { members.refresh() }

    /// The main process is what it is about from now on.
    func forgetFocus() { focus = nil }

    /// There was an OOM kill in the cgroup that no process's end was put down to yet; now one is.
    func takeOomKill() -> Bool {
        guard let now = [oomKillsNow(), cgroup?.oomKills].compactMap(\.self).max(), let told = oomKillsTold, now > told
        else { return false }
        oomKillsTold = told + 1
        return true
    }

    /// Ledgers of the service's other processes that have ended, each given once.
    func takeLeftovers() -> [Members.Member] { members.takeLeftovers() }

    /// Ledgers that are left when the service has ended and the last snapshot is taken, but for the one it was taken of.
    func remainingLedgers() -> [Members.Member] { members.rest(but: focus?.pid ?? pid) }

    func forget() {
        history.removeAll()
        alerts.removeAll()
        collections = nil
    }

    func add(_ alert: Alert) {
        alerts.append(alert)
        if alerts.count > 64 { alerts.removeFirst() }
    }

    var readings: [MemoryPoint] { history.readings }

    /// The ledger of the focus, or of the main process where the focus has none.
    var ledgerPath: String? {
        focus.flatMap { members.ledger(of: $0.pid) } ?? members.ledger(of: pid)
    }

    private func glanceAnew() {
        glanced = focus?.pid ?? pid
        glance = Glance(pid: glanced, cgroup: cgroup)
    }

    private func remember(_ main: ProcessMemory, _ others: [ProcessMemory], _ now: Double) {
        guard now >= nextHistory else { return }
        nextHistory = now + 1
        let all = [main] + others
        history.add(
            MemoryPoint(
                time: epoch + now, residentBytes: all.reduce(0) { $0 &+ $1.residentBytes },
                anonymousBytes: ownBytes(all),
                cgroupBytes: cgroup?.tightest?.unreclaimableBytes, heapLiveBytes: liveBytes()))
    }

    /// Live bytes by the focus's ledger.
    private func liveBytes() -> UInt64? {
        guard let path = ledgerPath else { return nil }
        if ledger?.path != path { ledger = OpenLedger(path) }
        return ledger?.liveBytes
    }
}

/// A box for the ledger, which cannot be copied.
private final class OpenLedger {
    let path: String
    private let file: LedgerFile

    init?(_ path: String) {
        guard let file = try? LedgerFile(path: path) else { return nil }
        self.file = file
        self.path = path
    }

    var liveBytes: UInt64 { UInt64(min(max(0, file.totals().live.bytes), 0x1p62)) }
}

/// Of several processes of one service, which are taken to share what they share with each other.
private func ownBytes(_ processes: [ProcessMemory]) -> UInt64 {
    processes.reduce(0) { $0 &+ $1.anonymousBytes } &+ (processes.map(\.shmemBytes).max() ?? 0)
}

extension ProcessMemory {
    /// What no reclaim takes away.
    var ownBytes: Double { Double(anonymousBytes) + Double(shmemBytes) }
}
