import CLinux
import Glibc
import RemoteProcess

/// The memory of a stopped process as it is now, in a process of its own, so that it need not stand still while it is read:
/// the kernel copies page tables (16–25 ms a GB) and shares the pages until somebody writes to them.
///
/// One of its threads is sent through a chain of signal frames on its own stack, each of which makes a system call and
/// returns into the next, as attaching does:
///
///     thread          vfork ─────────────────── waits for it ── wait4 ── home
///     its child         └─ fork ── exit
///     the copy                └─ stops here; if it were let go: exit
///
/// The child shares the thread's memory for the moment, and its end is nobody's business (no SIGCHLD, and the thread itself
/// waits for it, so that no zombie stays); the other threads go on when all that is over. The copy becomes init's child, or
/// a subreaper's, which is asked beforehand whether it looks after children. It shares the table of
/// descriptors, so that what the process closes is closed; should the process end, they stay open as long as the copy. Nothing of this depends on the tracer: if this process ends, all
/// of them come to the end of their chains by themselves.
final class ForkedCopy {
    let pid: Int32
    private let process: TracedThread

    /// Nil where it cannot be made here, and nothing happened; the process goes on in any case.
    ///
    /// - Parameter insists: also where it is not certain that somebody looks after the copy when it has ended.
    init?(of stopped: StoppedProcess, _ memory: RemoteMemory, _ map: MemoryMap, insists: Bool) {
        let libc = map.images.lazy.filter { fileName($0.path).hasPrefix("libc") }
            .compactMap { RemoteImage($0, memory) }.first { $0.symbol("malloc") != nil }
        guard Self.isAllowed(stopped.pid, insists: insists), let libc, let gadgets = Gadgets(libc) else { return nil }
        for thread in stopped.threads where Self.isUnconfined(thread.id, of: stopped.pid) {
            guard let trip = RoundTrip(thread, memory, map, gadgets) else { continue }
            guard let copy = trip.run() else { return nil }
            guard Self.isWhole(copy.id, map) else {
                copy.kill()
                return nil
            }
            process = copy
            pid = copy.id
            dieFirst()
            return
        }
        return nil
    }

    deinit { process.kill() }

    /// What was kept from being inherited (madvise(2), MADV_DONTFORK) would be missing.
    private static func isWhole(_ copy: Int32, _ map: MemoryMap) -> Bool {
        let inherited = Set(MemoryMap(of: copy)?.mappings.map(\.start) ?? [])
        return map.mappings.allSatisfy { !$0.isWritable || inherited.contains($0.start) }
    }

    /// It may be killed where memory runs out.
    var isAlive: Bool {
        statusFields("/proc/\(pid)/status")?["State"].map { !$0.hasPrefix("Z") && !$0.hasPrefix("X") } ?? false
    }

    /// Pages that the process writes to meanwhile are charged to its cgroup: should that run full, the copy goes.
    private func dieFirst() {
        let file = open("/proc/\(pid)/oom_score_adj", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = Glibc.write(file, "1000", 4)
        close(file)
    }

    /// The first process of a container may not know what to do with a child that is not its own, and one that neither
    /// handles nor ignores the end of children would keep a zombie of each. A shadow stack would have to be led along.
    private static func isAllowed(_ pid: Int32, insists: Bool) -> Bool {
        guard let fields = statusFields("/proc/\(pid)/status") else { return false }
        guard !isFirst(fields), fields["x86_Thread_features"]?.contains("shstk") != true else { return false }
        if insists { return true }
        var ancestor = fields
        for _ in 0..<64 {
            guard let parent = ancestor["PPid"], parent != "0", let next = statusFields("/proc/\(parent)/status") else {
                return true  // it cannot be seen from here
            }
            if isFirst(next) { return looksAfterChildren(next) }
            ancestor = next
        }
        return false
    }

    private static func isFirst(_ fields: [Substring: Substring]) -> Bool {
        fields["NSpid"]?.split(separator: "\t").last == "1"
    }

    private static func looksAfterChildren(_ fields: [Substring: Substring]) -> Bool {
        ["SigIgn", "SigCgt", "SigBlk"].contains { name in
            fields[name].flatMap { UInt64($0, radix: 16) }.map { $0 >> UInt64(SIGCHLD - 1) & 1 == 1 } ?? false
        }
    }

    /// A sandbox of its own might kill the thread for the calls; each thread may have one. What this process is in as well
    /// is a container's.
    private static func isUnconfined(_ thread: Int32, of pid: Int32) -> Bool {
        guard let filters = statusFields("/proc/\(pid)/task/\(thread)/status").map(systemCallFilters) else {
            return false
        }
        return filters == 0 || filters != .max && filters <= ownSystemCallFilters()
    }
}

/// One thread's way through the calls and home.
private struct RoundTrip {
    private let thread: TracedThread
    private let memory: RemoteMemory
    private let gadgets: Gadgets
    private let home: user_regs_struct
    private let mask: UInt64
    private let extendedState: ExtendedState

    private static let redZone: UInt64 = 128
    private static let roomLeft: UInt64 = 16 << 10
    private static let everySignal = UInt64.max
    private static let patience: Int32 = 30_000

    /// Nil where the thread stands badly.
    init?(_ thread: TracedThread, _ memory: RemoteMemory, _ map: MemoryMap, _ gadgets: Gadgets) {
        guard let stopped = try? thread.registers(), !thread.hasPendingSignal,
            clinux_trace_in_restartable_sequence(thread.id, UInt64(stopped.rip)) == 0,
            let home = SystemCall.resumed(stopped, code: memory.read(UInt64(stopped.rip) &- 7, 5) ?? []),
            let low = lowEnd(ofStackOf: home, memory, map),
            let mask = try? thread.signalMask(), let state = try? thread.extendedState()
        else { return nil }
        (self.thread, self.memory, self.gadgets) = (thread, memory, gadgets)
        (self.home, self.mask, extendedState) = (home, mask, state)
        guard places.vfork > low + Self.roomLeft else { return nil }
    }

    /// Where the frames are; each has the gadget's address in the word before it.
    private var places: (image: UInt64, home: UInt64, wait: UInt64, exit: UInt64, fork: UInt64, vfork: UInt64) {
        func below(_ address: UInt64) -> UInt64 { (address - 8 - SignalFrame.size) & ~15 }
        let image = (UInt64(home.rsp) - Self.redZone - UInt64(extendedState.bytes.count)) & ~63
        let home = below(image)
        let (wait, exit) = (below(home), below(below(home)))
        return (image, home, wait, exit, below(exit), below(below(exit)))
    }

    /// The copy, stopped where it began. The thread is home again, and stopped there.
    func run() -> TracedThread? {
        // What lies below the stack pointer is nobody's, but where a small stack lies within the thread's own.
        let low = places.vfork - 8
        let length = Int(places.image) + extendedState.bytes.count - Int(low)
        guard let before = memory.read(low, length), write(), clinux_trace_follow_children(thread.id) == 0 else {
            return nil
        }
        var start = home
        start.rip = numericCast(gadgets.signalReturn)
        start.rsp = numericCast(places.vfork)
        start.orig_rax = .max
        guard (try? thread.set(start)) != nil, (try? thread.goOn()) != nil else { return nil }
        var copy: TracedThread?
        if let child = child(of: thread) {
            if (try? child.goOn()) != nil, let made = self.child(of: child) {
                clinux_trace_kill_at_end(made.id)
                copy = made
            }
            goToEnd(child)
        }
        comeHome()
        if thread.isStopped, isHome(thread) { _ = memory.write(before, to: low) }
        return copy
    }

    // MARK: Frames

    private enum Call {
        static let fork: UInt64 = 56  // clone
        static let wait: UInt64 = 61  // wait4
        static let exit: UInt64 = 231  // exit_group
        static let sharesFiles: UInt64 = 0x400  // CLONE_FILES
        static let sharesMemory: UInt64 = 0x100 | 0x4000  // CLONE_VM | CLONE_VFORK
        static let childrenLikeThat: UInt64 = 0x8000_0000 | 0x2000_0000  // __WCLONE | __WNOTHREAD
    }

    private func write() -> Bool {
        let places = places
        var end = SignalFrame(registers: home, mask: mask, extendedState: places.image)
        end.registers.rsp = home.rsp
        let calls: [(at: UInt64, bytes: [UInt8])] = [
            (places.home, end.bytes),
            (places.wait, frame(Call.wait, [.max, 0, Call.childrenLikeThat, 0], returningTo: places.home)),
            (places.exit, frame(Call.exit, [0], returningTo: places.exit)),
            // Both the child and the copy go on to the exit.
            (places.fork, frame(Call.fork, [Call.sharesFiles, places.exit - 8], returningTo: places.exit)),
            (
                places.vfork,
                frame(Call.fork, [Call.sharesFiles | Call.sharesMemory, places.fork - 8], returningTo: places.wait)
            ),
        ]
        return memory.write(extendedState.bytes, to: places.image)
            && calls.allSatisfy { memory.write(littleEndian([gadgets.signalReturn]) + $0.bytes, to: $0.at - 8) }
    }

    /// A system call, whose `ret` leads to the frame at `next`.
    private func frame(_ number: UInt64, _ arguments: [UInt64], returningTo next: UInt64) -> [UInt8] {
        var registers = home
        let all = arguments + [UInt64](repeating: 0, count: 5 - arguments.count)
        registers.eflags = 0x202
        registers.rip = numericCast(gadgets.systemCall)
        registers.rsp = numericCast(next - 8)
        registers.rax = numericCast(number)
        (registers.rdi, registers.rsi, registers.rdx) = (numericCast(all[0]), numericCast(all[1]), numericCast(all[2]))
        (registers.r10, registers.r8) = (numericCast(all[3]), numericCast(all[4]))
        return SignalFrame(registers: registers, mask: Self.everySignal).bytes
    }

    // MARK: On the way

    /// The child that the thread makes, stopped at its beginning; the thread has gone on, to its next system call. Nil where
    /// it makes none.
    private func child(of parent: TracedThread) -> TracedThread? {
        while true {
            switch parent.wait(Self.patience) {
            case .child(let id):
                let child = TracedThread(followed: id)
                _ = child.wait(Self.patience)
                return (try? parent.goOn()) != nil ? child : nil
            case .signal, .interrupted, .systemCall:
                if isHome(parent) || (try? parent.goOn()) == nil { return nil }
            case .none, .group, .ended: return nil
            }
        }
    }

    private func isHome(_ thread: TracedThread) -> Bool {
        (try? thread.registers()).map { $0.rip == home.rip && $0.rsp == home.rsp } ?? false
    }

    private func goToEnd(_ child: TracedThread) {
        var stop = child.wait(Self.patience)
        while stop != .ended, stop != .none {
            guard (try? child.goOnFreely()) != nil else { return }
            stop = child.wait(Self.patience)
        }
    }

    /// Until the last rt_sigreturn is over: an interruption before that or after might be seen by the program.
    private func comeHome() {
        while true {
            if thread.isStopped, isHome(thread) || (try? thread.goOn()) == nil { return }
            _ = thread.wait(Self.patience)
            guard thread.isStopped else { return }
        }
    }
}
