import CLinux
import Glibc
import RemoteProcess

/// A process that functions can be called in: what is mapped, where libc and its pieces are.
struct AttachTarget {
    let pid: Int32
    let memory: RemoteMemory
    let map: MemoryMap
    let images: [RemoteImage]
    let libc: RemoteImage
    let gadgets: Gadgets
    let code: CodeRoles

    /// - Throws: why this process must be left alone.
    init(_ pid: Int32) throws(AttachError) {
        try Self.checkState(pid)
        // The same check as for tracing it, without touching it.
        let trial = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
        guard trial >= 0 else { throw .notPermitted(pid) }
        close(trial)
        guard let map = MemoryMap(of: pid), let program = linkTarget("/proc/\(pid)/exe") else {
            throw .notPermitted(pid)
        }
        self.pid = pid
        self.map = map
        memory = RemoteMemory(pid: pid)
        let memory = memory
        try Self.checkProgram(pid, map, program.withoutDeletedMark)
        images = map.images.compactMap { RemoteImage($0, memory) }
        guard let libc = images.first(where: { roleOfFile(fileName($0.path)) == .libc && $0.symbol("malloc") != nil })
        else { throw AttachError(.unsafe, "process \(pid): its C library cannot be read: is it glibc for x86-64?") }
        guard let gadgets = Gadgets(libc) else {
            throw AttachError(.unsafe, "process \(pid): \(libc.path) has not the code that attaching needs")
        }
        self.libc = libc
        self.gadgets = gadgets
        code = CodeRoles(
            map, images, program: program.withoutDeletedMark, libc: libc, signalReturn: gadgets.signalReturn)
    }

    /// A function of glibc's, wherever this version has it.
    func function(_ names: String...) -> UInt64? {
        for name in names {
            let libraries = [libc] + images.filter { roleOfFile(fileName($0.path)) == .libc }
            for library in libraries { if let address = library.symbol(name) { return address } }
        }
        return nil
    }

    // MARK: Refusals

    private static func checkState(_ pid: Int32) throws(AttachError) {
        #if !arch(x86_64)
            throw AttachError(.unsafe, "attach is for x86-64 only: start the service by `heaptide run`")
        #endif
        guard let fields = statusFields("/proc/\(pid)/status") else {
            throw AttachError(.noSuchProcess, "process \(pid) does not exist: check its number, it may have ended")
        }
        func refuse(_ why: String) -> AttachError { AttachError(.unsafe, "process \(pid) \(why)") }
        guard pid != getpid() else { throw refuse("is heaptide itself") }
        if let group = fields["Tgid"].flatMap({ Int32($0) }), group != pid {
            throw refuse("is a thread of process \(group): attach to that one")
        }
        switch fields["State"]?.first {
        case "Z", "X": throw AttachError(.noSuchProcess, "process \(pid) has ended")
        case "T": throw refuse("is stopped: let it go on first (kill -CONT \(pid))")
        default: break
        }
        if let tracer = fields["TracerPid"], tracer != "0" {
            let name = text(of: "/proc/\(tracer)/comm").map { " (\($0.dropLast()))" } ?? ""
            throw refuse("is being traced by process \(tracer)\(name): end that first")
        }
        if fields["Kthread"] == "1" || fields["VmSize"] == nil { throw refuse("is a thread of the kernel") }
        if fields["x86_Thread_features"]?.contains("shstk") == true {
            throw refuse("has a shadow stack, which attaching cannot keep right: start it by `heaptide run`")
        }
        try checkSandbox(pid, parent: fields["PPid"] ?? "0")
    }

    /// A container's filter holds for all that run in it, a sandbox of the program's own is one more, which a thread may have
    /// for itself: it may kill for a system call that opens a file.
    private static func checkSandbox(_ pid: Int32, parent: Substring) throws(AttachError) {
        let most =
            threads(of: pid).compactMap { statusFields("/proc/\(pid)/task/\($0)/status") }
            .map(systemCallFilters).max() ?? 0
        let isElsewhere = linkTarget("/proc/\(pid)/ns/mnt") != linkTarget("/proc/self/ns/mnt")
        let inherited = statusFields("/proc/\(parent)/status").map(systemCallFilters) ?? 0
        let usual = max(ownSystemCallFilters(), inherited, isElsewhere ? 1 : 0)
        if most == .max || most > usual {
            throw AttachError(
                .unsafe,
                "process \(pid) has locked itself into a sandbox (seccomp), which might kill it for opening the probe: "
                    + "start it by `heaptide run`")
        }
    }

    private static func checkProgram(_ pid: Int32, _ map: MemoryMap, _ program: String) throws(AttachError) {
        func refuse(_ why: String) -> AttachError { AttachError(.unsafe, "process \(pid) \(why)") }
        guard let head = bytes(ofStart: "/proc/\(pid)/exe"), head.count >= 20,
            head.starts(with: [0x7f, 0x45, 0x4c, 0x46])
        else { throw .notPermitted(pid) }
        guard head[4] == 2, head[5] == 1, number(head, at: 18, size: 2) == 62 else {
            throw refuse("runs a program for another machine type: heaptide is for 64-bit x86")
        }
        let image = map.images.first { $0.path == program }.flatMap { RemoteImage($0, RemoteMemory(pid: pid)) }
        guard let image else { throw refuse("runs a program that cannot be read (\(program))") }
        guard let interpreter = image.interpreter else {
            throw refuse("is linked statically: there is no dynamic linker to load the probe")
        }
        guard interpreter.contains("/ld-linux") else {
            throw refuse("does not use glibc, which the probe is for (\(interpreter))")
        }
        // AT_SECURE of the auxiliary vector: setuid, setgid or capabilities.
        let vector = bytes(of: "/proc/\(pid)/auxv") ?? []
        for at in stride(from: 0, to: vector.count - 15, by: 16) where number(vector, at: at, size: 8) == 23 {
            if number(vector, at: at + 8, size: 8) != 0 {
                throw refuse("runs with other rights than its caller (setuid, setgid or capabilities)")
            }
        }
    }
}

extension AttachError {
    static func notPermitted(_ pid: Int32) -> AttachError {
        let scope = text(of: "/proc/sys/kernel/yama/ptrace_scope")?.first
        let why = scope.map { $0 == "0" ? "" : "; kernel.yama.ptrace_scope is \($0)" } ?? ""
        let what =
            geteuid() == 0
            ? "even by root here: run heaptide outside of this container, or with CAP_SYS_PTRACE"
            : "by this user: run heaptide as root or with CAP_SYS_PTRACE"
        return AttachError(.notPermitted, "process \(pid) may not be traced \(what)\(why)")
    }
}

private func bytes(ofStart path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var head = [UInt8](repeating: 0, count: 64)
    let count = read(file, &head, head.count)
    return count > 0 ? Array(head[..<count]) : nil
}
