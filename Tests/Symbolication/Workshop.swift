import Foundation
import HeapProfile
import Symbolication
import Testing

/// A folder of its own in which a test builds programs with the machine's compilers; gone with the test.
final class Workshop {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/symbolication-XXXXXX").utf8CString)
        let made = try #require(mkdtemp(&template), "no temporary folder can be made")
        path = try #require(realpath(made, nil).map { String(cString: $0) })
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: file(name), atomically: true, encoding: .utf8)
        return file(name)
    }

    /// Standard output of a command that must succeed, run in the folder.
    @discardableResult
    func run(_ command: [String], input: String = "") throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(tool(command[0]), "\(command[0]) is not installed"))
        process.arguments = Array(command.dropFirst())
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        // Files instead of pipes: neither side can block the other.
        try input.write(toFile: file(".input"), atomically: false, encoding: .utf8)
        for name in [".output", ".errors"] { try write(name, "") }
        process.standardInput = FileHandle(forReadingAtPath: file(".input"))
        process.standardOutput = FileHandle(forWritingAtPath: file(".output"))
        process.standardError = FileHandle(forWritingAtPath: file(".errors"))
        try process.run()
        process.waitUntilExit()
        let errors = try String(contentsOfFile: file(".errors"), encoding: .utf8)
        try #require(process.terminationStatus == 0, "\(command.joined(separator: " ")): \(errors)")
        return try String(decoding: Data(contentsOf: URL(fileURLWithPath: file(".output"))), as: UTF8.self)
    }

    /// Runs a program that prints the return addresses of its calls to `place`, one a line and in hexadecimal.
    func places(_ program: String) throws -> [CodeAddress] {
        try run([file(program)]).split(separator: "\n").map { line in
            CodeAddress(module: 0, offset: try #require(UInt64(line, radix: 16)))
        }
    }

    /// `place` tells its caller the return address as the ELF file numbers it.
    @discardableResult
    func makePlace(_ compiler: String = "clang") throws -> String {
        try write(
            "place.c",
            """
            #include <stdio.h>
            extern char __executable_start;
            __attribute__((noinline)) void place(void) {
                printf("%lx\\n", (unsigned long)((char *)__builtin_return_address(0) - &__executable_start));
            }
            """)
        try run([compiler, "-c", "-O1", "-fno-optimize-sibling-calls", "place.c", "-o", "place.o"])
        return "place.o"
    }
}

/// Path of a command of this machine, or nil.
func tool(_ name: String) -> String? {
    if name.hasPrefix("/") { return name }
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
}

/// Stable compilers choose one mangling and hide the other.
func rustc(mangling: String) -> [String] {
    ["env", "RUSTC_BOOTSTRAP=1", "rustc", "-Z", "unstable-options", "-C", "symbol-mangling-version=\(mangling)"]
}

/// A frame in short: "function file:line", with "> " before one that is inlined into the next.
func brief(_ frame: Frame) -> String {
    let file = frame.file.map { " " + ($0.split(separator: "/").last.map(String.init) ?? $0) } ?? ""
    return (frame.isInlined ? "> " : "") + frame.label + file + (frame.line.map { ":\($0)" } ?? "")
}

func brief(_ table: SymbolTable, _ address: CodeAddress, in modules: [Module]) -> [String] {
    table.frames(of: address, in: modules).map(brief)
}
