import Foundation
import HeapLedger
import HeapProfile
import TestSupport

/// A small C or C++ program run under the preloaded probe.
struct Probed {
    let folder: TemporaryFolder
    let program: String
    let ledgers: String

    init(_ source: String, as name: String = "program.c", flags: [String] = []) throws {
        folder = TemporaryFolder()
        program = try compile(source, as: name, flags: flags, in: folder)
        ledgers = folder.file("ledgers")
    }

    /// A program of one file with `@main`.
    init(swift source: String, flags: [String]) throws {
        folder = TemporaryFolder()
        program = try compileSwift(source, flags: flags, in: folder)
        ledgers = folder.file("ledgers")
    }

    /// - Parameters:
    ///   - preloadAfter: a library that stands behind the probe; LD_PRELOAD in `environment` stands before it.
    ///   - shell: what a shell does before it becomes the program.
    func run(
        _ arguments: [String] = [], interval: String = "1", environment: [String: String] = [:],
        preloadAfter: String? = nil, shell: String? = nil
    ) throws -> Finished {
        let preload = [environment["LD_PRELOAD"], Products.probe, preloadAfter].compactMap { $0 }
        var settings = ["HEAPTIDE_DIR": ledgers, "HEAPTIDE_SAMPLE_INTERVAL": interval, "HEAPTIDE_LEDGER_SIZE": "16MiB"]
        settings.merge(environment) { $1 }
        settings["LD_PRELOAD"] = preload.joined(separator: ":")
        guard let shell else { return try TestSupport.run(program, arguments, environment: settings, in: folder.path) }
        settings["PRELOAD"] = settings.removeValue(forKey: "LD_PRELOAD")  // the shell itself goes without
        let line = "\(shell); export LD_PRELOAD=\"$PRELOAD\"; exec \"$0\" \"$@\""
        return try TestSupport.run(
            "/bin/sh", ["-c", line, program] + arguments, environment: settings, in: folder.path)
    }

    /// The ledgers that were left, oldest first.
    func profiles() throws -> [HeapProfile] {
        try LedgerFolder(path: ledgers).all()
            .map { try LedgerFile(path: $0).profile() }
            .sorted { $0.process.startMonotonic < $1.process.startMonotonic }
    }
}

extension HeapProfile {
    /// Sums over all blocks of this requested size, which tests choose so that nobody else asks for it.
    func blocks(ofSize size: UInt64) -> (live: Double, sites: Int) {
        let samples = samples.filter { $0.size == size }
        return (samples.reduce(0) { $0 + Double($1.weight) }, Set(samples.map(\.site)).count)
    }
}
