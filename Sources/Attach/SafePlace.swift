import RemoteProcess

/// Whether a thread may be made to call dlopen where it stands.
///
/// dlopen allocates and takes the loader's lock. So the thread must be neither in an allocator nor in the loader, whose
/// data may be half changed and whose locks it may hold, nor in a signal handler, which may have interrupted either, nor in
/// a callback of libc's, which may hold locks around it.
enum SafePlace: Equatable {
    case safe
    case unsafe(String)

    /// - Parameters:
    ///   - frames: the whole stack, innermost first; nil where it cannot be unwound to its end.
    ///   - systemCall: the number of the one that the thread was stopped in, or nil.
    static func judge(_ frames: [StackWalk.Frame]?, systemCall: Int?, _ code: CodeRoles) -> SafePlace {
        guard let frames, let first = frames.first else { return .unsafe("its stack cannot be unwound to the end") }
        let roles = frames.map { code.role(at: $0.isActivation ? $0.address : $0.address &- 1) }
        guard code.isMapped(first.address) else { return .unsafe("it runs code that is no file's") }
        if frames.dropFirst().contains(where: { $0.isActivation || $0.address == code.signalReturn }) {
            return .unsafe("it is in a signal handler")
        }
        if roles.contains(.loader) { return .unsafe("it is in the dynamic linker") }
        if roles.contains(.probe) { return .unsafe("it is in the probe") }
        if roles.contains(.allocator) || frames.contains(where: { code.isLibcAllocator($0.address &- 1) }) {
            return .unsafe("it is in the allocator")
        }
        if hasCallback(roles) { return .unsafe("it is in a function that libc calls back") }
        guard let systemCall else {
            // Anywhere in its own code, unless that has the allocator in it.
            if roles[0] == .libc { return .unsafe("it is in libc") }
            return code.isAllocatorInProgram ? .unsafe("it may be in the program's own allocator") : .safe
        }
        guard SystemCall.isWait(systemCall) else { return .unsafe("it is in a system call that is no wait") }
        if code.isAllocatorInProgram, [SystemCall.futex, SystemCall.nanosleep].contains(systemCall) {
            return .unsafe("it may wait in the program's own allocator")
        }
        return .safe
    }

    /// libc's frames stand at the inner end, where a wait was called, and at the outer end, where a thread or main begins
    /// (before main there is the program's _start, which is the very last).
    private static func hasCallback(_ roles: [CodeRole]) -> Bool {
        var rest = roles[...]
        if rest.count > 1, rest.last != .libc, rest.dropLast().last == .libc { rest.removeLast() }
        while rest.last == .libc { rest.removeLast() }
        return rest.drop { $0 == .libc }.contains(.libc)
    }
}
