import AgentCore
import Glibc
import HeapLedger
import HeapProfile
import RemoteProcess

/// Where a service's probe writes.
struct LedgerPlace {
    var folder: String
    /// Made for this run alone, so that all in it belongs to it and goes with it.
    var isPrivate: Bool

    /// A new folder of this run's own, below the one that was named by option or by HEAPTIDE_DIR, else the usual one.
    init(given: String?, environment: Environment) throws(AgentError) {
        var parent = LedgerFolder.defaultPath(environment: [:])
        if let named = given ?? environment["HEAPTIDE_DIR"], !named.isEmpty {
            try Folders.prepare(named, mode: 0o700, what: "ledgers")
            parent = absolute(named)
        } else {
            try Self.checkOwner(parent)
        }
        // The time of day: on a volume that outlives containers the pid may be the same each time.
        folder = "\(parent)/run-\(getpid())-\(UInt64(max(0, Clock.unix()) * 1e6))"
        isPrivate = true
        try Folders.prepare(folder, mode: 0o700, what: "ledgers")
    }

    /// The folder of a process that runs already: where the ledger lies that it has mapped, as far as that can be seen;
    /// else by its environment; else where ledgers of it are found.
    init(of process: ProcessKey, given: String?) {
        let pid = process.pid
        isPrivate = false
        if let given {
            folder = Self.search([given], for: process) ?? given
        } else if let mapped = Self.mapped(by: process) {
            folder = mapped
        } else if let block = readBytes("/proc/\(pid)/environ"), let named = Environment(block: block)["HEAPTIDE_DIR"],
            !named.isEmpty
        {
            folder = named.hasPrefix("/") ? named : (linkTarget("/proc/\(pid)/cwd") ?? "") + "/" + named
        } else {
            let usual = LedgerFolder.defaultPath(environment: [:])
            let owner = usual.split(separator: "-").dropLast().joined(separator: "-") + "-\(Self.owner(of: pid))"
            folder = Self.search([usual, owner], for: process) ?? usual
        }
    }

    /// Why there is no ledger of `process` in the folder, and what to do.
    func absence(of process: ProcessKey) -> String {
        let pid = process.pid
        guard let mapped = Self.mappedLedgers(process).first else {
            return "process \(pid) has no ledger in \(folder): \(Probe.remedy(for: pid))"
        }
        return "process \(pid) writes to \(mapped), which is not here: if it was deleted, start the service anew; "
            + "if it lies in a container, name the folder with --ledgers"
    }

    private static func mappedLedgers(_ process: ProcessKey) -> [String] {
        (MemoryMap(of: process.pid)?.mappings ?? []).map(\.path).filter {
            $0.hasPrefix("/") && $0.hasSuffix(".ledger")
        }
    }

    /// It may have been attached with a folder of its own. Another container's files are not seen from here.
    private static func mapped(by process: ProcessKey) -> String? {
        for path in mappedLedgers(process) {
            let folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
            if !LedgerFolder(path: folder).ledgers(of: process).isEmpty { return folder }
        }
        return nil
    }

    /// The first of `folders`, or of those that `heaptide run` made below them, with a ledger of `process`.
    private static func search(_ folders: [String], for process: ProcessKey) -> String? {
        let runs = folders.flatMap { folder in
            Folders.names(in: folder).filter { $0.hasPrefix("run-") }.map { "\(folder)/\($0)" }
        }
        return (folders + runs).first { !LedgerFolder(path: $0).ledgers(of: process).isEmpty }
    }

    /// /tmp is everybody's: a folder that another user made there could be swapped under our feet.
    private static func checkOwner(_ path: String) throws(AgentError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid(), status.st_mode & 0o022 == 0 else {
            throw AgentError(
                .folderUnusable,
                "\(path): not a folder of this user alone: name another one for ledgers by HEAPTIDE_DIR")
        }
    }

    /// The effective user. The owner of /proc/PID is root where a daemon gave its rights up.
    static func owner(of pid: Int32) -> uid_t {
        let lines = String(decoding: readBytes("/proc/\(pid)/status") ?? [], as: UTF8.self).split(separator: "\n")
        let users = lines.first { $0.hasPrefix("Uid:") }?.split(separator: "\t") ?? []
        return users.count > 2 ? uid_t(users[2]) ?? getuid() : getuid()
    }
}
