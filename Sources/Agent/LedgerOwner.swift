import AgentCore
import HeapLedger
import HeapProfile
import LinuxMemory

/// Identifies the running boot, as ledgers do.
private let thisBoot = ProcFS().bootID()

/// The process that the ledger at `path` is of; nil where that one lived in an earlier boot.
///
/// A ledger's name tells only a pid, which another process may have by now: in a container the service has the same one
/// at each start.
func ledgerOwner(_ path: String) throws(HeapLedgerError) -> ProcessKey? {
    let identity = try LedgerFile(path: path).identity()
    guard let thisBoot, identity.bootID == thisBoot else { return nil }
    return ProcessKey(pid: identity.pid, startTicks: identity.startTicks)
}

extension LedgerFolder {
    /// Paths of the ledgers of that very process, newest first; several where it called exec.
    func ledgers(of process: ProcessKey) -> [String] {
        ledgers(of: process.pid).filter { (try? ledgerOwner($0)) == process }
    }
}
