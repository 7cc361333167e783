import Foundation
import HeapProfile
import HeapWalk
import Inspection
import Symbolication
import TestSupport

/// Of its heap, with names as a report tells them.
func survey(_ program: WatchedProgram) throws -> HeapSurvey {
    try HeapSnapshotter.survey(program.pid, symbols: Symbolicator().variables).demangled()
}

/// A small program that does its work, says that it is ready, and waits for what it is told until its input ends.
final class WatchedProgram {
    let folder = TemporaryFolder()
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// One in C++.
    ///
    /// - Parameters:
    ///   - top: what stands before `main`, which calls `work()`, and then `command(c)` with what it is told, where there is
    ///     one.
    ///   - environment: added to this process's.
    ///   - isRecorded: with the probe, every allocation.
    ///   - libcxx: where libc++ is, in place of libstdc++.
    ///   - allocator: a library that brings one, in place of glibc's; behind the probe.
    init(
        _ top: String, flags: [String] = ["-O1"], environment: [String: String] = [:], isRecorded: Bool = false,
        libcxx: String? = nil, allocator: String? = nil
    ) throws {
        let source = """
            #include <atomic>
            #include <cstdio>
            #include <cstdlib>
            #include <cstring>
            #include <functional>
            #include <list>
            #include <map>
            #include <memory>
            #include <set>
            #include <string>
            #include <thread>
            #include <unistd.h>
            #include <unordered_map>
            #include <vector>
            extern "C" __attribute__((weak)) void command(char);
            \(top)
            __attribute__((noinline)) static void wipe() {
                volatile char room[65536];
                for (unsigned i = 0; i < sizeof room; i++) room[i] = 0;
            }
            int main() {
                work();
                wipe();
                std::puts("ready");
                std::fflush(stdout);
                char line[10];
                while (read(0, line, sizeof line) > 0) {
                    if (command) command(line[0]);
                    std::puts("ready");
                    std::fflush(stdout);
                }
                // Threads may still be at work on what `exit` would take apart.
                _exit(0);
            }
            """
        let program = try compile(
            source, as: "program.cpp", with: libcxx == nil ? nil : "clang++",
            flags: flags + ["-std=c++17", "-pthread", "-w"] + Self.flags(libcxx: libcxx), in: folder)
        var probe = recording
        if let allocator { probe["LD_PRELOAD"] = "\(Products.probe):\(allocator)" }
        try start([program], isRecorded ? probe : environment)
    }

    private static func flags(libcxx: String?) -> [String] {
        guard let libcxx else { return [] }
        return [
            "-nostdinc++", "-isystem", "\(libcxx)/include/c++/v1", "-nostdlib++", "\(libcxx)/lib/libc++.a",
            "\(libcxx)/lib/libc++abi.a",
        ]
    }

    /// One in Swift, which calls `ready()` itself, and then reads lines.
    init(swift source: String, flags: [String] = ["-O"], isRecorded: Bool = false) throws {
        write(
            Array("import Glibc\nfunc ready() { print(\"ready\"); fflush(stdout) }\n\(source)".utf8),
            to: folder.file("main.swift"))
        try build("swiftc", flags + [folder.file("main.swift")], isRecorded)
    }

    /// One in Rust, which prints `ready` itself, and then reads lines.
    init(rust source: String, isRecorded: Bool = false) throws {
        write(Array(source.utf8), to: folder.file("program.rs"))
        try build("rustc", ["-O", "-g", folder.file("program.rs")], isRecorded)
    }

    /// One in C, recorded, that prints `ready` itself, and then reads its input.
    init(c source: String) throws {
        let program = try compile(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n\(source)", as: "program.c",
            flags: ["-fno-builtin", "-w"],
            in: folder)
        try start([program], recording)
    }

    /// Any program that prints a line `ready`, after it was told something or by itself.
    init(command: [String], environment: [String: String] = [:], isRecorded: Bool, first: String? = nil) throws {
        try start(command, environment.merging(isRecorded ? recording : [:]) { $1 }, first: first)
    }

    private var recording: [String: String] {
        ["LD_PRELOAD": Products.probe, "HEAPTIDE_SAMPLE_INTERVAL": "1", "HEAPTIDE_DIR": folder.path]
    }

    private func build(_ compiler: String, _ arguments: [String], _ isRecorded: Bool) throws {
        guard let path = findProgram(compiler) else { throw CompileError(description: "no \(compiler) in PATH") }
        let built = try run(path, arguments + ["-o", folder.file("program")])
        guard built.status == 0 else { throw CompileError(description: built.errors) }
        try start([folder.file("program")], isRecorded ? recording : [:])
    }

    private func start(_ command: [String], _ environment: [String: String], first: String? = nil) throws {
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        if let first { try input.fileHandleForWriting.write(contentsOf: Data("\(first)\n".utf8)) }
        try waitUntilReady()
    }

    /// Tells it something, and waits until that is done.
    func say(_ line: String) throws {
        try input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
        try waitUntilReady()
    }

    private func waitUntilReady() throws {
        var text = ""
        while !text.contains("ready\n") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw DidNotStart() }
            text += String(decoding: data, as: UTF8.self)
        }
    }

    deinit { _ = end() }

    var pid: Int32 { process.processIdentifier }

    /// Its exit status; -1 where it was never started, as it is when the compiler failed.
    func end() -> Int32 {
        guard pid > 0 else { return -1 }
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

struct DidNotStart: Error {}
