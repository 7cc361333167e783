import Foundation
import TestSupport

/// A small C++ program that does its work, says that it is ready, and waits for the end of its input.
final class WatchedProgram {
    let folder = TemporaryFolder()
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// - Parameters:
    ///   - top: what stands before `main`, which calls `work()`.
    ///   - environment: added to this process's.
    ///   - isRecorded: with the probe, every allocation.
    ///   - allocator: a library that brings one, in place of glibc's; behind the probe.
    init(
        _ top: String, flags: [String] = ["-O1"], environment: [String: String] = [:], isRecorded: Bool = false,
        allocator: String? = nil
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
                return read(0, line, sizeof line) < 0;
            }
            """
        let program = try compile(
            source, as: "program.cpp", flags: flags + ["-std=c++17", "-pthread", "-w"], in: folder)
        let preloaded = [Products.probe, allocator].compactMap(\.self).joined(separator: ":")
        let probe = ["LD_PRELOAD": preloaded, "HEAPTIDE_SAMPLE_INTERVAL": "1", "HEAPTIDE_DIR": folder.path]
        try start(program, isRecorded ? probe : environment)
    }

    /// Any program that prints a line `ready` and then waits for the end of its input.
    init(running program: String) throws { try start(program, [:]) }

    private func start(_ program: String, _ environment: [String: String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
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
