import AgentCore
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory

/// The processes of one service that have ledgers: a script that starts the real program, a server that forks workers.
///
/// A look costs one `stat` of the folder, and a `kill(pid, 0)` for each member, as long as no process comes or goes.
struct Members {
    struct Member {
        var process: ProcessKey
        var ledger: String
        var pid: Int32 { process.pid }
    }

    /// More are looked after by nobody: reading them all would cost more than the agent may.
    private static let most = 16

    /// Nil where it was gone at once.
    private let main: ProcessKey?
    private let folder: LedgerFolder
    private let files: ProcFS
    /// The folder belongs to this service alone; otherwise only ledgers of processes that were seen to descend from
    /// `main` are its own.
    private let isPrivate: Bool
    private var changed = timespec()
    private var known: Set<ProcessKey> = []
    /// By path, of each ledger that could be read once; a nil one is of an earlier boot.
    private var owners: [String: ProcessKey?] = [:]
    /// Those that live.
    private(set) var list: [Member] = []
    /// Ledgers of those that are gone.
    private var leftovers: [Member] = []

    init(main: Int32, place: LedgerPlace?, files: ProcFS) {
        self.main = files.key(of: main)
        self.files = files
        folder = LedgerFolder(path: place?.folder ?? "")
        isPrivate = place?.isPrivate ?? false
    }

    mutating func refresh() {
        var status = stat()
        guard stat(folder.path, &status) == 0 else {
            list = []
            return
        }
        let now = status.st_mtim
        let hasDead = list.contains { $0.process != main && kill($0.pid, 0) != 0 && errno == ESRCH }
        // The file system's clock is coarse: a ledger made right after the last look may bear the same time.
        let hasChanged = (now.tv_sec, now.tv_nsec) != (changed.tv_sec, changed.tv_nsec) || time(nil) - now.tv_sec < 2
        guard hasChanged || hasDead else { return }
        changed = now
        read()
    }

    /// Ledgers of processes that are gone, each given once; `main`'s own are not among them.
    mutating func takeLeftovers() -> [Member] {
        defer { leftovers = [] }
        return leftovers
    }

    /// The newest ledger of a process that lives, or has ended since the last look.
    func ledger(of pid: Int32) -> String? { (list + leftovers).first { $0.pid == pid }?.ledger }

    /// All that is left in the end, but for the ledgers of `handled`.
    mutating func rest(but handled: Int32) -> [Member] {
        all().filter { member in
            member.pid != handled && !isAlive(member.process)
                && (isPrivate || member.process == main || known.contains(member.process))
        }
    }

    private mutating func read() {
        var seen: Set<ProcessKey> = []
        var members: [Member] = []
        leftovers = []
        for member in all() {
            let isNewest = seen.insert(member.process).inserted
            if member.process == main {
                if isNewest { members.insert(member, at: 0) }
            } else if isAlive(member.process) {
                guard isNewest, isPrivate || isOurs(member.process) else { continue }
                known.insert(member.process)
                members.append(member)
            } else if isPrivate || known.contains(member.process) {
                leftovers.append(member)
            }
        }
        known.formIntersection(seen)
        list = Array(members.prefix(Self.most))
    }

    /// The folder's ledgers, newest first, without those of an earlier boot and those that cannot be read (yet).
    private mutating func all() -> [Member] {
        let paths = folder.all()
        let before = owners
        owners = [:]
        return paths.compactMap { path -> Member? in
            do throws(HeapLedgerError) {
                let owner = if let known = before[path] { known } else { try ledgerOwner(path) }
                owners.updateValue(owner, forKey: path)
                return owner.map { Member(process: $0, ledger: path) }
            } catch {
                return nil
            }
        }
    }

    private func isAlive(_ process: ProcessKey) -> Bool { files.key(of: process.pid) == process }

    private func isOurs(_ process: ProcessKey) -> Bool {
        guard let main else { return false }
        return known.contains(process) || files.descends(process.pid, from: [main.pid])
    }
}

extension ProcFS {
    /// Whether one of `pids` is among the process's next 16 ancestors.
    func descends(_ pid: Int32, from pids: Set<Int32>) -> Bool {
        var ancestor = pid
        for _ in 0..<16 {
            guard let parent = try? process(ancestor).parent, parent > 0 else { return false }
            if pids.contains(parent) { return true }
            ancestor = parent
        }
        return false
    }

    /// Nil where there is no such process.
    fileprivate func key(of pid: Int32) -> ProcessKey? {
        (try? process(pid)).map { ProcessKey(pid: pid, startTicks: $0.startTicks) }
    }
}
