import CLinux
import Glibc
package import RemoteProcess

/// A process whose threads all stand still. They go on when this value goes away, and by the kernel's doing when this
/// process ends, however it ends: it leaves no trace in the other one.
///
/// All calls must come from one thread, as ptrace(2) wants it.
package final class StoppedProcess {
    package let pid: Int32
    package private(set) var threads: [TracedThread] = []

    /// - Parameter patience: milliseconds to wait for a thread.
    package init(_ pid: Int32, patience: Int32 = 1000) throws(HeapWalkError) {
        self.pid = pid
        var known: Set<Int32> = []
        // A thread that still ran may have started another one.
        while true {
            let new = RemoteProcess.threads(of: pid).filter { known.insert($0).inserted }
            if new.isEmpty { break }
            for id in new { try stop(id, patience) }
        }
        guard !threads.isEmpty else {
            throw HeapWalkError(.processUnreadable, "process \(pid) is gone, or may not be looked at")
        }
    }

    private func stop(_ id: Int32, _ patience: Int32) throws(HeapWalkError) {
        let thread: TracedThread
        do throws(SystemError) { thread = try TracedThread(id) } catch {
            if error.number == ESRCH { return }
            throw HeapWalkError(
                .processUnreadable,
                "process \(pid) may not be traced (\(String(cString: strerror(error.number)))): run heaptide as its user "
                    + "or as root, and see `heaptide doctor \(pid)`")
        }
        switch thread.stop(within: patience) {
        case .ended: return
        case .none:
            throw HeapWalkError(
                .busy, "thread \(id) of process \(pid) does not stop (it may wait for a device): try again")
        default: threads.append(thread)
        }
    }

    package func letGo() {
        for thread in threads { thread.letGo() }
        threads = []
    }

    /// What the threads had in their registers.
    var states: [ThreadState] {
        threads.compactMap { thread in (try? thread.registers()).map { ThreadState(id: thread.id, registers: $0) } }
    }

    deinit { letGo() }
}

/// A thread as it stood.
struct ThreadState {
    var id: Int32
    var registers: user_regs_struct
}
