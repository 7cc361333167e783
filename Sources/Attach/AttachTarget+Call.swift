import CLinux
import Glibc
import RemoteProcess

extension AttachTarget {
    /// What was found at the threads that could not be used, for the message.
    private struct Reasons {
        private(set) var last: [Int32: String] = [:]
        mutating func add(_ thread: Int32, _ why: String) { last[thread] = why }
        var text: String {
            let counted = Dictionary(grouping: last.values) { $0 }.map { (why: $0.key, count: $0.value.count) }
            let most = counted.sorted { ($1.count, $0.why) < ($0.count, $1.why) }.prefix(2)
            return most.map { "\($0.count) \($0.count == 1 ? "thread" : "threads"): \($0.why)" }.joined(separator: "; ")
        }
    }

    /// Has one of the process's threads make the calls, at the first place where that is safe.
    ///
    /// One thread at a time is stopped, for a millisecond or two, and let go again where it stands badly: so whoever holds
    /// the loader's or an allocator's lock goes on and gives it back.
    func call(
        payload: [UInt8], within seconds: Double, _ calls: (_ payload: UInt64) -> [RemoteCall]
    ) throws(AttachError) -> Injection.Outcome {
        guard let walk = StackWalk(of: pid, map) else {
            throw AttachError(.system, "process \(pid): its memory map cannot be read by libdw")
        }
        let end = monotonicMilliseconds() + Int64(seconds * 1000)
        var reasons = Reasons()
        var unstopped: [Int32: TracedThread] = [:]
        var round = 0
        repeat {
            let candidates = candidates()
            if candidates.isEmpty { throw .gone(pid) }
            // Waiting threads first; of those that run, a few each time.
            for id in candidates.prefix(round == 0 ? 8 : 24) {
                var ready: Injection?
                do throws(SystemError) {
                    let known = unstopped.removeValue(forKey: id)
                    let thread = if let known { known } else { try TracedThread(id) }
                    ready = try prepare(thread, walk, &reasons)
                    // It waits for a device, or for a processor: it stays traced until it stops, or this process ends.
                    if !thread.isStopped { unstopped[id] = thread }
                } catch {
                    if error.number == EPERM, id == pid { throw .notPermitted(pid) }
                    reasons.add(id, Attach.reason(error.number))
                }
                if let ready {
                    // Whoever halts in the meantime might hold the lock that the call needs.
                    for thread in unstopped.values { thread.letGo() }
                    return try run(ready, payload, calls)
                }
                if monotonicMilliseconds() > end { break }
            }
            round += 1
            usleep(UInt32.random(in: 1000...8000))
        } while monotonicMilliseconds() < end
        throw AttachError(
            .noSafePlace,
            "process \(pid): no thread came to a place where it may be interrupted (\(reasons.text)): try again")
    }

    /// Threads that wait in a system call, then the others; kernel helpers cannot be traced and fail later.
    private func candidates() -> [Int32] {
        let all = threads(of: pid)
        let waiting = all.filter { id in
            guard let line = text(of: "/proc/\(pid)/task/\(id)/syscall") else { return false }
            return line.split(separator: " ").first.flatMap { Int($0) }.map(SystemCall.isWait) ?? false
        }
        let others = all.filter { !waiting.contains($0) }
        return waiting + others.shuffled()
    }

    /// Stops the thread and looks where it is; nil, and the thread is to be let go, where that is no good place.
    private func prepare(
        _ thread: TracedThread, _ walk: StackWalk, _ reasons: inout Reasons
    ) throws(SystemError) -> Injection? {
        let stop = thread.stop(within: 100)
        guard stop == .interrupted else {
            reasons.add(
                thread.id, stop == .group ? "it is stopped" : "it does not stop (it waits for a device or a processor)")
            if case .signal(let signal) = stop { try thread.goOn(delivering: signal) }
            return nil
        }
        let stopped = try thread.registers()
        let before = memory.read(UInt64(stopped.rip) &- 7, 5) ?? []
        guard let home = SystemCall.resumed(stopped, code: before) else {
            reasons.add(thread.id, "it is in a system call that cannot be taken up again")
            return nil
        }
        func reject(_ why: String) throws(SystemError) -> Injection? {
            reasons.add(thread.id, why)
            // The program is not to see that its wait was interrupted, unless it was by more than us.
            if !thread.hasPendingSignal, stopped.rax == UInt64(bitPattern: -4), home.rip != stopped.rip {
                try thread.set(home)
            }
            return nil
        }
        if case .unsafe(let why) = SafePlace.judge(
            walk.frames(stopped), systemCall: SystemCall.number(stopped), code)
        {
            return try reject(why)
        }
        if thread.hasPendingSignal { return try reject("a signal is on its way to it") }
        if clinux_trace_in_restartable_sequence(thread.id, UInt64(stopped.rip)) != 0 {
            return try reject("it is in a restartable sequence")
        }
        // The thread's own pointer to its descriptor, twice, in every thread that glibc made.
        guard let descriptor = memory.read(UInt64(stopped.fs_base), 24),
            number(descriptor, at: 0, size: 8) == stopped.fs_base,
            number(descriptor, at: 16, size: 8) == stopped.fs_base
        else { return try reject("glibc did not make it") }
        let injection = Injection(
            thread: thread, memory: memory, gadgets: gadgets, home: home, mask: try thread.signalMask(),
            extendedState: try thread.extendedState())
        guard let stack = MemoryMap(of: pid)?.mapping(at: UInt64(home.rsp)), stack.isWritable,
            stack.start <= injection.lowest
        else { return try reject("its stack has no room for a signal frame") }
        return injection
    }

    private func run(
        _ injection: Injection, _ payload: [UInt8], _ calls: (UInt64) -> [RemoteCall]
    ) throws(AttachError) -> Injection.Outcome {
        do throws(Injection.Failure) {
            return try injection.run(payload: payload, calls)
        } catch {
            switch error {
            case .ended: throw .gone(pid)
            case .timeout:
                throw AttachError(
                    .system,
                    "process \(pid): its dynamic linker is kept busy; the call goes on by itself: look again later with "
                        + "`heaptide doctor \(pid)`")
            case .noArea(let number):
                throw AttachError(.system, "process \(pid): it can map no memory (\(Attach.reason(number)))")
            case .noRoom: throw AttachError(.system, "process \(pid): its stack cannot be written")
            case .system(let number):
                throw AttachError(.system, "process \(pid): cannot be traced (\(Attach.reason(number)))")
            }
        }
    }
}

extension AttachError {
    static func gone(_ pid: Int32) -> AttachError {
        AttachError(.noSuchProcess, "process \(pid) ended, or began another program, meanwhile")
    }
}
