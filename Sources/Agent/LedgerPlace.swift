import Glibc
import HeapLedger
import HeapProfile

/// Where a service's probe writes.
struct LedgerPlace {
    var folder: String
    /// Made for this run alone, so that all in it belongs to it and goes with it.
    var isPrivate: Bool

    /// The folder that was named, by option or by HEAPTIDE_DIR; else a new one of this run's own.
    init(given: String?, environment: Environment) throws(AgentError) {
        if let named = given ?? environment["HEAPTIDE_DIR"], !named.isEmpty {
            try Folders.prepare(named, mode: 0o700, what: "ledgers")
            folder = absolute(named)
            isPrivate = false
        } else {
            let usual = LedgerFolder.defaultPath(environment: [:])
            try Self.checkOwner(usual)
            folder = "\(usual)/run-\(getpid())-\(UInt64(Clock.monotonic() * 1e3))"
            isPrivate = true
            try Folders.prepare(folder, mode: 0o700, what: "ledgers")
        }
    }

    /// The folder of a process that runs already: by its environment where that may be read, else where ledgers of it
    /// are found.
    init(of pid: Int32, given: String?) {
        isPrivate = false
        if let given {
            folder = given
        } else if let block = readBytes("/proc/\(pid)/environ"), let named = Environment(block: block)["HEAPTIDE_DIR"],
            !named.isEmpty
        {
            folder = named.hasPrefix("/") ? named : (linkTarget("/proc/\(pid)/cwd") ?? "") + "/" + named
        } else {
            let usual = LedgerFolder.defaultPath(environment: [:])
            let runs = Folders.names(in: usual).filter { $0.hasPrefix("run-") }.map { "\(usual)/\($0)" }
            let owner =
                LedgerFolder.defaultPath(environment: [:])
                .split(separator: "-").dropLast().joined(separator: "-") + "-\(Self.owner(of: pid))"
            folder = ([usual, owner] + runs).first { !LedgerFolder(path: $0).ledgers(of: pid).isEmpty } ?? usual
        }
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

    private static func owner(of pid: Int32) -> uid_t {
        var status = stat()
        return stat("/proc/\(pid)", &status) == 0 ? status.st_uid : getuid()
    }
}
