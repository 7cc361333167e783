package import CLinux
import Glibc

/// One thread of another process, traced by this very thread. It is let go when this value goes away, and by the kernel
/// when this process ends, however it ends.
package final class TracedThread {
    package enum Stop: Equatable {
        case none, interrupted, group, systemCall, ended
        case signal(Int32)
        /// It has made a child, with this id.
        case child(Int32)
    }

    package let id: Int32
    package private(set) var isStopped = false
    /// A signal that it was stopped at and has not been given yet.
    private var withheld: Int32 = 0
    private var isTraced = true

    /// - Throws: the errno.
    package init(_ id: Int32) throws(SystemError) {
        self.id = id
        try check(clinux_trace_seize(id))
    }

    /// One that is traced already, as a child of a thread whose children are followed; it stops by itself.
    package init(followed id: Int32) { self.id = id }

    deinit { letGo() }

    /// The thread goes on untraced. Of one that cannot be stopped (it waits for a device) the kernel sees to that as soon
    /// as this process ends.
    package func letGo() {
        guard isTraced else { return }
        isTraced = false
        if !isStopped { _ = stop(within: 50) }
        if isStopped { _ = clinux_trace_detach(id, withheld) }
    }

    /// Asks it to stop, alone of all threads, and waits so many milliseconds for that.
    package func stop(within milliseconds: Int32) -> Stop {
        guard clinux_trace_interrupt(id) == 0 else { return .ended }
        return wait(milliseconds)
    }

    package func wait(_ milliseconds: Int32) -> Stop {
        var signal: Int32 = 0
        let kind = clinux_trace_wait(id, milliseconds, &signal)
        isStopped = true
        switch Int(kind) {
        case CLINUX_STOP_INTERRUPTED: return .interrupted
        case CLINUX_STOP_GROUP: return .group
        case CLINUX_STOP_SYSTEM_CALL: return .systemCall
        case CLINUX_STOP_SIGNAL:
            withheld = signal
            return .signal(signal)
        case CLINUX_STOP_CHILD: return .child(signal)
        case CLINUX_STOP_ENDED:
            isTraced = false
            return .ended
        default:
            isStopped = false
            return .none
        }
    }

    /// On to the next system call's beginning or end.
    package func goOn(delivering signal: Int32 = 0) throws(SystemError) {
        try check(clinux_trace_to_system_call(id, signal))
        isStopped = false
        withheld = 0
    }

    package func goOnFreely() throws(SystemError) {
        try check(clinux_trace_continue(id, withheld))
        isStopped = false
        withheld = 0
    }

    /// Its process is no more, as far as this one has to do with it.
    package func kill() {
        guard isTraced else { return }
        isTraced = false
        Glibc.kill(id, SIGKILL)
        var signal: Int32 = 0
        while clinux_trace_wait(id, 1000, &signal) != CLINUX_STOP_ENDED, Glibc.kill(id, 0) == 0 {}
    }

    package func registers() throws(SystemError) -> user_regs_struct {
        var registers = user_regs_struct()
        try check(clinux_trace_registers(id, &registers))
        return registers
    }

    package func set(_ registers: user_regs_struct) throws(SystemError) {
        try withUnsafePointer(to: registers) { pointer throws(SystemError) in
            try check(clinux_trace_set_registers(id, pointer))
        }
    }

    package func signalMask() throws(SystemError) -> UInt64 {
        var mask: UInt64 = 0
        try check(clinux_trace_signal_mask(id, &mask))
        return mask
    }

    /// Whether a signal waits for it that it does not block.
    package var hasPendingSignal: Bool {
        guard let fields = statusFields("/proc/\(id)/status") else { return true }
        func set(_ name: Substring) -> UInt64 { fields[name].flatMap { UInt64($0, radix: 16) } ?? 0 }
        return (set("SigPnd") | set("ShdPnd")) & ~set("SigBlk") != 0
    }
}

/// A system call that failed.
package struct SystemError: Error {
    package var number: Int32

    package init(number: Int32) { self.number = number }
}

/// Of a call that gives 0 or an errno.
package func check(_ number: Int32) throws(SystemError) {
    if number != 0 { throw SystemError(number: number) }
}
