import Foundation
import Glibc

/// What this package builds, beside the test bundle.
public enum Products {
    public static func path(_ name: String) -> String {
        var folder = URL(fileURLWithPath: CommandLine.arguments.first ?? ".").resolvingSymlinksInPath()
        let bundle = Bundle.allBundles.map(\.bundleURL).first { $0.pathExtension == "xctest" }
        if let bundle { folder = bundle }
        while folder.path != "/" {
            folder.deleteLastPathComponent()
            let candidate = folder.appendingPathComponent(name).path
            if FileManager.default.fileExists(atPath: candidate) { return candidate }
        }
        return name
    }

    public static var probe: String { path("libheaptide-probe.so") }
    public static var heaptide: String { path("heaptide") }
}

/// How a program that a test ran has ended.
public struct Finished: Sendable {
    public var status: Int32
    public var wasSignalled: Bool
    public var output: String
    public var errors: String
}

/// Runs a program to its end. Output of any size is fine; standard input is empty. One that hangs is killed after five
/// minutes.
public func run(
    _ program: String, _ arguments: [String] = [], environment: [String: String] = [:], in folder: String? = nil
) throws -> Finished {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    let scratch = TemporaryFolder()
    let files = ["output", "errors"].map(scratch.file)
    for file in files { write([], to: file) }
    process.standardOutput = FileHandle(forWritingAtPath: files[0])
    process.standardError = FileHandle(forWritingAtPath: files[1])
    try withNoSignalBlocked { try process.run() }
    let watchdog = DispatchWorkItem { kill(process.processIdentifier, SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + 300, execute: watchdog)
    process.waitUntilExit()
    watchdog.cancel()
    let texts = files.map { String(decoding: contents(of: $0), as: UTF8.self) }
    return Finished(
        status: process.terminationStatus, wasSignalled: process.terminationReason == .uncaughtSignal,
        output: texts[0], errors: texts[1])
}

/// A test may run on a worker thread of libdispatch, which blocks signals, and a child inherits that.
private func withNoSignalBlocked(_ body: () throws -> Void) rethrows {
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try body()
}

/// The first of `names` that stands in PATH.
public func findProgram(_ names: String...) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
    for name in names {
        for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
            return "\(folder)/\(name)"
        }
    }
    return nil
}

/// Compiles C or C++ (by `name`'s ending) into `folder`; returns the path of what came out.
///
/// - Parameter favourite: the compiler to take where it is there.
public func compile(
    _ source: String, as name: String, with favourite: String? = nil, flags: [String] = [], in folder: TemporaryFolder
) throws -> String {
    let isCxx = name.hasSuffix(".cpp")
    let usual = isCxx ? ("g++", "clang++") : ("gcc", "clang")
    guard let compiler = findProgram(favourite ?? usual.0, usual.0, usual.1) else {
        throw CompileError(description: "no C or C++ compiler in PATH")
    }
    let file = folder.file(name)
    try source.write(toFile: file, atomically: true, encoding: .utf8)
    let product = folder.file(name.split(separator: ".").dropLast().joined(separator: "."))
    let result = try run(compiler, ["-g", "-O1", file, "-o", product] + flags)
    guard result.status == 0 else { throw CompileError(description: result.errors) }
    return product
}

/// Compiles one file of Swift that has a `@main`; returns the path of the program.
public func compileSwift(_ source: String, flags: [String], in folder: TemporaryFolder) throws -> String {
    guard let compiler = findProgram("swiftc") else { throw CompileError(description: "no swiftc in PATH") }
    let file = folder.file("Program.swift")
    try source.write(toFile: file, atomically: true, encoding: .utf8)
    let product = folder.file("program")
    let result = try run(compiler, ["-parse-as-library", "-g", file, "-o", product] + flags)
    guard result.status == 0 else { throw CompileError(description: result.errors) }
    return product
}

public struct CompileError: Error, CustomStringConvertible {
    public var description: String

    public init(description: String) { self.description = description }
}
