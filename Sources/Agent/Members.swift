import Glibc
import HeapLedger

/// The processes of one service that have ledgers: a script that starts the real program, a server that forks workers.
///
/// A look costs one `stat` of the folder as long as no process came or went.
struct Members {
    struct Member {
        var pid: Int32
        var ledger: String
    }

    /// More are looked after by nobody: reading them all would cost more than the agent may.
    private static let most = 16

    private let folder: LedgerFolder
    /// The folder belongs to this service alone; otherwise only `main`'s ledgers count.
    private let isPrivate: Bool
    private let main: Int32
    private var changed = timespec()
    private(set) var list: [Member] = []

    init(main: Int32, place: LedgerPlace?) {
        self.main = main
        folder = LedgerFolder(path: place?.folder ?? "")
        isPrivate = place?.isPrivate ?? false
    }

    mutating func refresh() {
        var status = stat()
        guard stat(folder.path, &status) == 0 else { return list = [] }
        let now = status.st_mtim
        // The file system's clock is coarse: a ledger made right after the last look may bear the same time.
        if (now.tv_sec, now.tv_nsec) != (changed.tv_sec, changed.tv_nsec) || time(nil) - now.tv_sec < 2 {
            changed = now
            list = read()
        }
        list.removeAll { $0.pid != main && kill($0.pid, 0) != 0 && errno == ESRCH }
    }

    private func read() -> [Member] {
        guard isPrivate else {
            return folder.ledgers(of: main).first.map { [Member(pid: main, ledger: $0)] } ?? []
        }
        var newest: [Int32: String] = [:]
        for path in folder.all() {
            guard let pid = Self.pid(of: path), newest[pid] == nil else { continue }
            newest[pid] = path
        }
        let others = newest.keys.filter { $0 != main && kill($0, 0) == 0 }.sorted(by: >).prefix(Self.most - 1)
        return ([main] + others).compactMap { pid in newest[pid].map { Member(pid: pid, ledger: $0) } }
    }

    static func pid(of path: String) -> Int32? {
        path.split(separator: "/").last?.split(separator: "-").first.flatMap { Int32($0) }
    }
}
