import CHeapLedger
import HeapProfile
import Inspection
import LeakAnalysis
import Snapshot
import TestSupport
import Testing

@Suite struct InspectionTests {
    private let folder = TemporaryFolder()

    /// A ledger of one steady leak: 100 KiB every 0.1 s for a minute.
    private func ledger() -> LedgerBuilder {
        var ledger = LedgerBuilder(duration: 60)
        ledger.module("/opt/shop/bin/shop", at: 0x1000, size: 0x10000)
        ledger.header.period_ns = 2_000_000_000
        let leak = ledger.site([0x1100, 0x1200], history: (1...30).map { Float($0) * 20 * 102_400 })
        for index in 0..<600 { ledger.live(leak, size: 102_400, at: Double(index) * 0.1) }
        return ledger
    }

    private func path(_ ledger: LedgerBuilder) -> String {
        write(ledger.bytes(), to: folder.file("4242-5.ledger"))
        return folder.file("4242-5.ledger")
    }

    private func snapshot(_ name: String, isFinished: Bool = true) throws -> String {
        let profile = try #require(try Inspection.open(path(ledger())).profile)
        let writer = try SnapshotWriter(path: folder.file(name))
        try writer.write(
            process: ProcessState(
                name: "shop", pid: 4242, capturedAt: 1_700_000_060, trigger: "limit", limitBytes: 268_435_456,
                usageBytes: 134_217_728))
        try writer.write(profile: profile)
        guard isFinished else { return writer.partialPath }
        try writer.write(
            history: (0..<60).map {
                MemoryPoint(
                    time: 1_700_000_000 + Double($0), residentBytes: 0,
                    anonymousBytes: 70_000_000 + UInt64($0) * 1_024_000)
            })
        try writer.finish()
        return folder.file(name)
    }

    @Test func aLedgerOfADeadProcessIsOneThatWasKilled() throws {
        let contents = try Inspection.open(path(ledger()))
        #expect(contents.process.trigger == "unfinished")
        #expect(contents.process.pid == 4242)
        #expect(contents.process.name == "shop")
        #expect(contents.profile?.samples.count == 600)
        var bytes = ledger().bytes()
        bytes[28] = 2  // hl_header.state: HL_STATE_EXITED
        write(bytes, to: folder.file("exited.ledger"))
        #expect(try Inspection.open(folder.file("exited.ledger")).process.trigger == "exit")
    }

    @Test func aSnapshotGivesGrowthAndTimeToTheLimit() throws {
        let report = try Inspection.report(try Inspection.open(snapshot("full.heaptide")))
        #expect(abs(report.growth.bytesPerSecond / 1_024_000 - 1) < 0.1)
        #expect(report.limitBytes == 268_435_456)
        #expect(report.usageBytes == 134_217_728)
        let left = try #require(report.timeToLimitSeconds)
        #expect(abs(left - 131) < 20)
        let suspect = try #require(report.suspects.first)
        #expect(abs(suspect.bytesPerSecond / 1_024_000 - 1) < 0.1)
        #expect(suspect.stack.first?.function == "shop+0x100")
    }

    @Test func aPartialSnapshotIsReportedAsSuch() throws {
        let contents = try Inspection.open(snapshot("cut.heaptide", isFinished: false))
        #expect(contents.isPartial)
        let report = try Inspection.report(contents)
        #expect(!report.suspects.isEmpty)
        #expect(contents.warnings.allSatisfy(report.warnings.contains) && !contents.warnings.isEmpty)
    }

    @Test func whatIsNoSnapshotIsAnErrorOfOneLine() throws {
        write(Array("Not a ledger at all\n".utf8), to: folder.file("text"))
        write(Array("HEAPTIDE".utf8) + [UInt8](repeating: 7, count: 9000), to: folder.file("magic"))
        write([], to: folder.file("empty"))
        for name in ["text", "magic", "empty", "missing", "", "a\nb"] {
            let error = #expect(throws: (any Error).self) { try Inspection.open(folder.file(name)) }
            let text = error.map { "\($0)" } ?? ""
            #expect(!text.isEmpty && !text.contains("\n"), "\(name): \(text)")
        }
    }

    @Test func symbolsAreAddedOnce() throws {
        // The test's own program, so that there are symbols to find.
        var ledger = LedgerBuilder(duration: 60)
        ledger.module(Products.heaptide, at: 0x10_0000, size: 0x1000_0000, bias: 0x10_0000)
        // Some of these addresses lie between functions.
        for offset in stride(from: UInt64(0x40_0000), to: 0xc0_0000, by: 0x4_0001) {
            ledger.live(ledger.site([0x10_0000 + offset]), size: 100, at: 1)
        }
        let profile = try #require(try Inspection.open(path(ledger)).profile)
        let writer = try SnapshotWriter(path: folder.file("own.heaptide"))
        try writer.write(process: ProcessState(name: "own", pid: 1, capturedAt: 0, trigger: "manual"))
        try writer.write(profile: profile)
        try writer.finish()
        try Inspection.symbolize(path: folder.file("own.heaptide"))
        let contents = try Inspection.open(folder.file("own.heaptide"))
        #expect(!contents.symbols.frames.isEmpty)
        #expect(!contents.isPartial)
        let before = contents.symbols
        try Inspection.symbolize(path: folder.file("own.heaptide"))
        #expect(try Inspection.open(folder.file("own.heaptide")).symbols == before)
    }

    @Test func damagedLedgersGiveAnErrorOrAReport() throws {
        let whole = ledger().bytes()
        var random = SplitMix64(seed: 4)
        var reports = 0
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<6 {
                bytes[Int.random(in: 8..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            for _ in 0..<2 {
                bytes[Int.random(in: 8..<400, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            write(bytes, to: folder.file("damaged"))
            guard let contents = try? Inspection.open(folder.file("damaged")) else { continue }
            _ = try Inspection.report(contents)
            reports += 1
        }
        #expect(reports > 0 && reports < 300)
    }
}
