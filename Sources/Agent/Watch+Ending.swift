import AgentCore
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory

extension Watch {
    /// How the process ended; `status` is nil where it was somebody else's child.
    func ending(_ status: ProcessStatus?) -> Ending {
        // It may have lived for less than the time between two looks.
        refreshMembers()
        return Ending(cause(status), oomKills: oomKillsNow())
    }

    private func cause(_ status: ProcessStatus?) -> Ending.Cause {
        switch status {
        case .signaled(let number)?: return Self.isAskedFor(number) ? .exited : .killed
        case .exited?:
            guard focus?.pid != pid, hasLeftLedger == true else { return .exited }
            // A shell ends by its own will after the program it ran was killed. Without the kernel's word for it, that
            // program may as well have called `_exit`: then it is one of those that are left over.
            if hasOomKill { return .killed }
            forgetFocus()
            return .exited
        case nil:
            if let hasLeftLedger { return hasLeftLedger ? .killed : .exited }
            return hasOomKill ? .killed : .exited
        }
    }

    /// Signals by which people and service managers ask a program to end.
    static func isAskedFor(_ signal: Int32) -> Bool {
        ![SIGKILL, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ].contains(signal)
    }

    private var hasOomKill: Bool { (oomKillsNow() ?? 0) > (cgroup?.oomKills ?? .max) }

    /// The process is gone and its ledger does not say that it exited; nil where there is no ledger, or a probe that was
    /// detached did not see the end.
    private var hasLeftLedger: Bool? {
        guard let path = ledgerPath, let ledger = try? LedgerFile(path: path) else { return nil }
        guard !ledger.sampling().isDetached else { return nil }
        return !ledger.identity().exited && !isAlive(focus?.pid ?? pid)
    }

    /// A zombie is not: its parent has merely not asked yet how it ended.
    private func isAlive(_ pid: Int32) -> Bool {
        guard let memory = try? files.process(pid) else { return false }
        return memory.state != "Z" && memory.state != "X"
    }

    /// Of the cgroup it was in, as far as this process is in it as well.
    func oomKillsNow() -> UInt64? { sharedCgroup?.oomKills }

    /// What this process and its helpers may take as well before the limit is reached; nil where that is not theirs.
    var sharedHeadroom: UInt64? { sharedCgroup?.tightest?.headroomBytes }

    private var sharedCgroup: CgroupMemory? {
        guard let own = (try? files.cgroup(of: getpid())) ?? nil, own.path == cgroup?.path else { return nil }
        return own
    }

    /// The ledgers of every image that the process ran, from the newest on; those of an earlier process of the same
    /// pid stay.
    func discardLedgers() {
        guard let path = ledgerPath, let owner = try? ledgerOwner(path) else { return }
        for ledger in folder.ledgers(of: owner) { unlink(ledger) }
    }
}
