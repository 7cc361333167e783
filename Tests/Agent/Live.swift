import Foundation
import TestSupport

/// A `heaptide` that runs while the test talks with it: lines of its output are the handshakes.
final class Live {
    private let process = Process()
    private let outputPipe = Pipe()
    private let errorPipe = Pipe()
    private var buffers: [ObjectIdentifier: [UInt8]] = [:]

    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        process.executableURL = URL(fileURLWithPath: Products.heaptide)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = outputPipe
        process.standardError = errorPipe
        try process.run()
    }

    deinit { if process.isRunning { process.terminate() } }

    var pid: Int32 { process.processIdentifier }

    /// The next line that the service or heaptide writes to standard output.
    func line() -> String? { line(outputPipe) }
    func errorLine() -> String? { line(errorPipe) }

    /// Reads on until a line of standard error contains `text`; the lines read.
    func errors(until text: String) -> [String] {
        var lines: [String] = []
        while let line = errorLine() {
            lines.append(line)
            if line.contains(text) { break }
        }
        return lines
    }

    /// Waits for its end.
    func status() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    private func line(_ pipe: Pipe) -> String? {
        let id = ObjectIdentifier(pipe)
        while true {
            if let end = buffers[id]?.firstIndex(of: 10), let bytes = buffers[id] {
                buffers[id] = Array(bytes[(end + 1)...])
                return String(decoding: bytes[..<end], as: UTF8.self)
            }
            let more = pipe.fileHandleForReading.availableData
            if more.isEmpty { return nil }
            buffers[id, default: []] += more
        }
    }
}

/// `heaptide run` to its end, with snapshots in `output` and ledgers in a folder of their own below it.
func runService(
    _ script: String, output: TemporaryFolder, options: [String] = [], environment: [String: String] = [:]
) throws -> Finished {
    try run(
        Products.heaptide,
        ["run", "--output", output.file("snapshots"), "--ledgers", output.file("ledgers")] + options
            + ["--", "/bin/sh", "-c", script], environment: environment)
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
        static void *held[\(mebibytes)];
        __attribute__((noinline)) void hold_memory(int i) { held[i] = malloc(1 << 20); memset(held[i], 1, 1 << 20); }
        int main(void) {
            for (int i = 0; i < \(mebibytes); i++) hold_memory(i);
            puts("ready");
            fflush(stdout);
            \(ending)
        }
        """, as: "holder.c", in: folder)
}
