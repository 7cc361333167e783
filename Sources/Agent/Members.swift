import Glibc
import HeapLedger
import LinuxMemory

/// The processes of one service that have ledgers: a script that starts the real program, a server that forks workers.
///
/// A look costs one `stat` of the folder, and a `kill(pid, 0)` for each member, as long as no process comes or goes.
struct Members {
    struct Member {
        var pid: Int32
        var ledger: String
    }

    /// More are looked after by nobody: reading them all would cost more than the agent may.
    private static let most = 16

    private let main: Int32
    private let folder: LedgerFolder
    private let files: ProcFS
    /// The folder belongs to this service alone; otherwise only ledgers of processes that were seen to descend from
    /// `main` are its own.
    private let isPrivate: Bool
    private var changed = timespec()
    private var known: Set<Int32> = []
    /// Those that live.
    private(set) var list: [Member] = []
    /// Ledgers of those that are gone.
    private var leftovers: [Member] = []

    init(main: Int32, place: LedgerPlace?, files: ProcFS) {
        self.main = main
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
        let hasDead = list.contains { $0.pid != main && !exists($0.pid) }
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

    /// All that is left in the end, but for the ledgers of `handled`.
    mutating func rest(but handled: Int32) -> [Member] {
        folder.all().compactMap(member).filter { member in
            member.pid != handled && !exists(member.pid)
                && (isPrivate || member.pid == main || known.contains(member.pid))
        }
    }

    private mutating func read() {
        var seen: Set<Int32> = []
        var members: [Member] = []
        leftovers = []
        for member in folder.all().compactMap(member) {
            let isNewest = seen.insert(member.pid).inserted
            if member.pid == main {
                if isNewest { members.insert(member, at: 0) }
            } else if exists(member.pid) {
                guard isNewest, isPrivate || isOurs(member.pid) else { continue }
                known.insert(member.pid)
                members.append(member)
            } else if isPrivate || known.contains(member.pid) {
                leftovers.append(member)
            }
        }
        known.formIntersection(seen)
        list = Array(members.prefix(Self.most))
    }

    private func member(_ path: String) -> Member? {
        let name = path.split(separator: "/").last
        return name?.split(separator: "-").first.flatMap { Int32($0) }.map { Member(pid: $0, ledger: path) }
    }

    private func exists(_ pid: Int32) -> Bool { kill(pid, 0) == 0 || errno != ESRCH }

    private func isOurs(_ pid: Int32) -> Bool {
        if known.contains(pid) { return true }
        var ancestor = pid
        for _ in 0..<16 {
            guard let parent = try? files.process(ancestor).parent, parent > 1 else { return false }
            if parent == main { return true }
            ancestor = parent
        }
        return false
    }
}
