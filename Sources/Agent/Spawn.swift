import CLinux
import Glibc

/// A child process to be started.
struct Spawn {
    var path: String
    /// With argument 0. Bytes: they need not be text.
    var arguments: [[UInt8]]
    var environment: [[UInt8]]
    /// Becomes standard input; inherited where nil.
    var input: Int32?
    /// Becomes standard output and standard error; inherited where nil.
    var output: Int32?
    /// A group of its own: the terminal's Ctrl-C does not reach it, and it can be ended with its children.
    var ownGroup = false
    /// Of signals; and those that get their default back.
    var mask: sigset_t
    var defaults: sigset_t

    /// The new process, or errno.
    func start() -> Result<pid_t, SpawnFailure> {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var mask = mask
        var defaults = defaults
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        if ownGroup { flags |= POSIX_SPAWN_SETPGROUP }
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input { posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) }
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
            posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)
        }
        var pid = pid_t()
        let result = withCStrings(arguments) { arguments in
            withCStrings(environment) { posix_spawn(&pid, path, &actions, &attributes, arguments, $0) }
        }
        return result == 0 ? .success(pid) : .failure(SpawnFailure(errno: result))
    }
}

struct SpawnFailure: Error {
    var errno: Int32
}

/// What waitpid told of a child.
enum ProcessStatus: Equatable {
    case exited(Int32)
    case signaled(Int32)

    init(_ status: Int32) {
        self = clinux_has_exited(status) ? .exited(clinux_exit_code(status)) : .signaled(clinux_kill_signal(status))
    }

    /// As a shell gives it on.
    var exitCode: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let number): 128 + number
        }
    }

    var text: String {
        switch self {
        case .exited(let code): code == 0 ? "ended" : "ended with status \(code)"
        case .signaled(let number): "was ended by signal \(number) (\(reason(ofSignal: number)))"
        }
    }
}

private func reason(ofSignal number: Int32) -> String {
    strsignal(number).map { String(cString: $0).lowercased() } ?? "unknown"
}

private func withCStrings<R>(_ strings: [[UInt8]], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { bytes in (bytes + [0]).map { CChar(bitPattern: $0) }.withUnsafeBufferPointer(copy) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}

private func copy(_ string: UnsafeBufferPointer<CChar>) -> UnsafeMutablePointer<CChar>? {
    string.baseAddress.flatMap { strdup($0) }
}
