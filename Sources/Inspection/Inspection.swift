import Glibc
import HeapLedger
import HeapProfile
public import LeakAnalysis
public import Snapshot
import Symbolication
import TimeSeries

/// From a file on disk to a report: what every command that reads does.
public enum Inspection {
    /// A snapshot, the `.partial` of one that was not finished, or a ledger.
    ///
    /// Throws `SnapshotError` or `HeapLedgerError`, of which each is one line.
    public static func open(_ path: String) throws -> SnapshotContents {
        // Only the beginning of a file says what it is; names are changed, and a ledger may have been copied.
        if isLedger(path) { return contents(of: try LedgerFile(path: path), path: path) }
        return try SnapshotReader.read(path: path)
    }

    /// Judges what was read. `earlier` is a snapshot of the same process from before, of which the heap was read as well.
    ///
    /// Throws a `SnapshotError` where the two cannot be compared. Addresses without symbols are looked up in the files of this machine first.
    public static func report(
        _ contents: SnapshotContents, since earlier: SnapshotContents? = nil, options: AnalysisOptions = .init()
    ) throws -> LeakReport {
        var contents = contents
        contents.warnings += resolve(&contents)
        var input = input(contents, options)
        input.earlier = try earlier.map { try survey($0, before: contents) }
        var report = analyze(input)
        for warning in contents.warnings where !report.warnings.contains(warning) { report.warnings.append(warning) }
        return report
    }

    private static func survey(
        _ earlier: SnapshotContents, before later: SnapshotContents
    ) throws -> EarlierSurvey {
        let (old, new) = (earlier.process, later.process)
        func incomparable(_ why: String) -> SnapshotError {
            SnapshotError(
                .incomparable, "--since", "\(why): give an earlier snapshot of the same process, taken with --heap")
        }
        // Of a process that the probe was not in, or not yet, the start is not known.
        let starts = Set([earlier, later].compactMap { $0.profile?.process.startTicks })
        guard old.pid == new.pid, old.host == new.host, starts.count <= 1 else {
            throw incomparable("the earlier one is of another process, \(old.name) \(old.pid)")
        }
        guard new.capturedAt > old.capturedAt else { throw incomparable("it is not earlier") }
        guard let heap = earlier.heap, later.heap != nil else {
            throw incomparable("who holds the heap is not in both")
        }
        return EarlierSurvey(heap: heap, seconds: new.capturedAt - old.capturedAt)
    }

    /// Adds to the snapshot at `path` the symbols it lacks. Returns what could not be resolved and why, one line each.
    @discardableResult
    public static func symbolize(path: String) throws -> [String] {
        var contents = try SnapshotReader.read(path: path)
        let known = contents.symbols.frames.count
        let notes = resolve(&contents)
        if contents.symbols.frames.count > known { try SnapshotReader.addSymbols(contents.symbols, to: path) }
        return notes
    }

    // MARK: Steps

    private static func isLedger(_ path: String) -> Bool {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return false }
        defer { close(file) }
        var magic = [UInt8](repeating: 0, count: 8)
        return read(file, &magic, 8) == 8 && magic == Array("HEAPTIDE".utf8)
    }

    private static func contents(of ledger: consuming LedgerFile, path: String) -> SnapshotContents {
        let identity = ledger.identity()
        let isAlive = isRunning(identity)
        let profile = ledger.profile(at: isAlive ? monotonicNanoseconds() : nil)
        var process = ProcessState(
            name: ledger.programName() ?? "process \(identity.pid)", pid: identity.pid,
            capturedAt: identity.startTime + profile.duration,
            trigger: isAlive ? "manual" : identity.exited ? "exit" : "unfinished")
        process.extra["liveBytes"] = profile.sites.reduce(0) { $0 + $1.live.bytes }
        // The profile's own warnings are told by the analysis.
        return SnapshotContents(process: process, profile: profile)
    }

    private static func isRunning(_ identity: ProcessIdentity) -> Bool {
        !identity.exited && bootID() == identity.bootID && startTicks(of: identity.pid) == identity.startTicks
    }

    /// Resolves what `contents` lacks; returns the resolver's notes.
    private static func resolve(_ contents: inout SnapshotContents) -> [String] {
        guard let profile = contents.profile else { return [] }
        var missing: Set<CodeAddress> = []
        for site in profile.sites {
            for address in site.stack where contents.symbols.frames[address] == nil { missing.insert(address) }
        }
        guard !missing.isEmpty else { return [] }
        var symbolicator = Symbolicator()
        let found = symbolicator.resolve(missing, in: profile.modules)
        contents.symbols.frames.merge(found.frames) { known, _ in known }
        return symbolicator.notes
    }

    private static func ending(of process: ProcessState) -> Ending? {
        switch process.trigger {
        case "killed": process.isOutOfMemory == true ? .outOfMemory : .killed
        case "exit": .exited
        case "unfinished": .unfinished
        default: nil
        }
    }

    private static func input(_ contents: SnapshotContents, _ options: AnalysisOptions) -> LeakInput {
        let process = contents.process
        let origin = contents.profile?.process.startTime ?? contents.history.first?.time ?? 0
        return LeakInput(
            profile: contents.profile, symbols: contents.symbols, heap: contents.heap,
            counts: contents.counts.map { $0.shifted(by: -origin) },
            memory: contents.history.map { Point(time: $0.time - origin, value: Double($0.anonymousBytes)) },
            usageBytes: process.usageBytes.map { Double($0) }, limitBytes: process.limitBytes.map { Double($0) },
            processName: process.name, ending: ending(of: process), options: options)
    }
}
