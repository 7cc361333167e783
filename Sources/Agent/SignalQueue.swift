import CLinux
import Glibc

/// All signals that can be caught, taken as messages from a descriptor instead of by handlers.
///
/// To be made while the process has one thread: a thread that does not block a signal would take it away.
final class SignalQueue {
    let descriptor: Int32
    /// The mask this process was started with: what its children must get.
    let inheritedMask: sigset_t
    /// SIGPIPE was not ignored before: children get its default back.
    private let resetsPipe: Bool

    /// What is left alone: what cannot be caught, and what a bug in this very process raises.
    private static let excluded = [SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS]

    init() throws(AgentError) {
        var set = sigset_t()
        sigfillset(&set)
        for signal in Self.excluded { sigdelset(&set, signal) }
        var old = sigset_t()
        pthread_sigmask(SIG_BLOCK, &set, &old)
        inheritedMask = old
        var action = sigaction()
        sigaction(SIGPIPE, nil, &action)
        resetsPipe = action.__sigaction_handler.sa_handler == nil
        signal(SIGPIPE, SIG_IGN)
        descriptor = clinux_signal_descriptor(&set)
        guard descriptor >= 0 else {
            throw AgentError(.system, "cannot receive signals (\(reason(errno))): check the limit of open files")
        }
    }

    deinit { close(descriptor) }

    /// Signals whose default a child gets back.
    var childDefaults: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        if resetsPipe { sigaddset(&set, SIGPIPE) }
        return set
    }

    /// What SIGTSTP does by default: whoever stopped the group waits for this process to stop as well.
    static func stop() { kill(getpid(), SIGSTOP) }

    /// The next pending signal, without waiting.
    func next() -> (number: Int32, isFromKernel: Bool)? {
        var signal = clinux_signal()
        guard clinux_next_signal(descriptor, &signal) == 1 else { return nil }
        return (signal.number, signal.from_kernel != 0)
    }
}
