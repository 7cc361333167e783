import Foundation
import TestSupport

/// A program that runs while the test talks with it: lines of its output are the handshakes.
final class Live {
    let pid: Int32
    private let output: Int32
    private let errors: Int32
    private var rest: [Int32: [UInt8]] = [:]
    private var ending: Int32?

    /// With no signal blocked, unlike a child that Foundation starts from one of the test's worker threads.
    init(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        var pipes = [Int32](repeating: -1, count: 4)
        for index in [0, 2] { pipes.withUnsafeMutableBufferPointer { _ = pipe($0.baseAddress! + index) } }
        for end in pipes { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, pipes[3], STDERR_FILENO)
        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        var child = pid_t()
        let result = posix_spawn(&child, program, &actions, &attributes, &argv, &envp)
        for string in argv + envp { free(string) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        close(pipes[1])
        close(pipes[3])
        (pid, output, errors) = (child, pipes[0], pipes[2])
        guard result == 0 else { throw CocoaError(.executableNotLoadable) }
    }

    static func heaptide(_ arguments: String...) throws -> Live { try Live(Products.heaptide, arguments) }

    deinit {
        if ending == nil {
            kill(-pid, SIGKILL)
            _ = status()
        }
        close(output)
        close(errors)
    }

    /// The next line of standard output; nil at its end.
    func line() -> String? { line(output) }

    /// Reads on until a line of standard error contains `text`; the lines read.
    func errors(until text: String) -> [String] {
        var lines: [String] = []
        while let line = line(errors) {
            lines.append(line)
            if line.contains(text) { break }
        }
        return lines
    }

    /// Waits for its end; 128 + n for signal n.
    func status() -> Int32 {
        if let ending { return ending }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
        ending = code
        return code
    }

    /// All that it writes, and its end.
    func finish() -> Outcome {
        var lines: [String] = []
        while let line = line() { lines.append(line + "\n") }
        let errors = errors(until: "\u{0}").map { $0 + "\n" }.joined()
        let status = status()
        return Outcome(status: status, output: lines.joined(), errors: errors)
    }

    private func line(_ file: Int32) -> String? {
        while true {
            if let bytes = rest[file], let end = bytes.firstIndex(of: 10) {
                rest[file] = Array(bytes[(end + 1)...])
                return String(decoding: bytes[..<end], as: UTF8.self)
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            rest[file, default: []] += buffer[..<count]
        }
    }
}

/// How a program ended, and what it wrote.
struct Outcome {
    var status: Int32
    var output: String
    var errors: String
}

/// `heaptide run` to its end, with snapshots in `output` and ledgers in a folder of their own below it.
func runService(
    _ script: String, output: TemporaryFolder, options: [String] = [], environment: [String: String] = [:]
) throws -> Outcome {
    let arguments = ["run", "--output", output.file("snapshots"), "--ledgers", output.file("ledgers")] + options
    return try Live(Products.heaptide, arguments + ["--", "/bin/sh", "-c", script], environment: environment).finish()
}

func names(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
}

/// A program that holds `mebibytes` from one function and then says `ready`; what it does next is up to `ending`.
func holdingProgram(_ ending: String, mebibytes: Int = 40, in folder: TemporaryFolder) throws -> String {
    try compile(
        """
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        void *held[\(mebibytes)];
        __attribute__((noinline)) void hold_memory(int i) { held[i] = malloc(1 << 20); memset(held[i], 1, 1 << 20); }
        int main(void) {
            for (int i = 0; i < \(mebibytes); i++) hold_memory(i);
            puts("ready");
            fflush(stdout);
            \(ending)
        }
        """, as: "holder.c", in: folder)
}
