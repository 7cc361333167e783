import Foundation
import HeapLedger
import HeapProfile
import TestSupport

/// A small C or C++ program that runs already, and does what it is told, a line at a time.
///
/// Its source is the body of `static void obey(char command, int count, int size)`.
final class RunningProgram {
    let folder = TemporaryFolder()
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var unread: [UInt8] = []

    init(
        _ body: String, top: String = "", flags: [String] = [], isCxx: Bool = false, libraries: [String: String] = [:],
        environment: [String: String] = [:]
    ) throws {
        let source = """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <pthread.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <unistd.h>
            static void *volatile kept[100000]; static int used;
            static void keep(void *block) { kept[used++] = block; }
            \(top)
            static void obey(char command, int count, int size) {
                \(body)
            }
            int main(void) {
                char line[100], command; int count, size;
                puts("ready"); fflush(stdout);
                while (fgets(line, sizeof line, stdin)) {
                    if (sscanf(line, "%c %d %d", &command, &count, &size) == 3) obey(command, count, size);
                    puts("done"); fflush(stdout);
                }
                return 0;
            }
            """
        for (name, text) in libraries {
            _ = try compile(text, as: "\(name).c", flags: ["-shared", "-fPIC"], in: folder)
        }
        let program = try compile(
            source, as: isCxx ? "program.cpp" : "program.c", flags: flags + ["-pthread", "-w"], in: folder)
        process.executableURL = URL(fileURLWithPath: program)
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        guard line() == "ready" else { throw DidNotStart() }

    }

    deinit {
        try? input.fileHandleForWriting.close()
        if process.isRunning { process.waitUntilExit() }
    }

    var pid: Int32 { process.processIdentifier }

    /// Has it done when it returns.
    func tell(_ command: String) -> Bool {
        input.fileHandleForWriting.write(Data("\(command)\n".utf8))
        return line() == "done"
    }

    /// Its status, after the end of its input.
    func end() -> Int32 {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    func attach(_ options: String...) throws -> Finished {
        try run(
            Products.heaptide,
            ["attach", "\(pid)", "--ledgers", folder.file("ledgers"), "--interval", "1"] + options)
    }

    func detach() throws -> Finished { try run(Products.heaptide, ["attach", "\(pid)", "--detach"]) }

    /// Oldest first.
    func profiles() throws -> [HeapProfile] {
        try LedgerFolder(path: folder.file("ledgers")).all()
            .map { try LedgerFile(path: $0).profile() }
            .sorted { $0.process.startMonotonic < $1.process.startMonotonic }
    }

    private func line() -> String {
        while !unread.contains(10) {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { return "" }
            unread += data
        }
        let end = unread.firstIndex(of: 10) ?? 0
        defer { unread.removeFirst(end + 1) }
        return String(decoding: unread[..<end], as: UTF8.self)
    }
}

struct DidNotStart: Error {}

extension HeapProfile {
    /// How many live blocks there are of this requested size, which tests choose so that nobody else asks for it.
    func live(ofSize size: UInt64) -> Double {
        samples.filter { $0.size == size }.reduce(0) { $0 + Double($1.weight) }
    }
}
