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

/// The low end of the thread's own stack; nil where it stands on another one, below which somebody else's things may lie.
///
/// glibc notes a started thread's in its record at the thread pointer, as the block of memory, its size and that of the
/// guard below (nptl/descr.h; at 0x690 from 2.31 to 2.41). It is recognised by where the block ends.
func lowEnd(ofStackOf thread: user_regs_struct, _ memory: RemoteMemory, _ map: MemoryMap) -> UInt64? {
    let (pointer, record) = (UInt64(thread.rsp), UInt64(thread.fs_base))
    guard let mapping = map.mapping(at: pointer), mapping.isWritable else { return nil }
    if mapping.path == "[stack]" { return mapping.start }
    let words = memory.words(record &+ 0x600, 0x120 / 8)
    for at in words.indices.dropLast(2) {
        let (block, size, guardSize) = (words[at], words[at + 1], words[at + 2])
        let behind = block &+ size &- record
        guard block > 0, block < record, (0x800..<0x2000).contains(behind), guardSize < size else { continue }
        return pointer > block + guardSize && pointer < record ? block + guardSize : nil
    }
    return nil
}
