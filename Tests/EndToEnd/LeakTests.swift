import Foundation
import HeapLedger
import TestSupport
import Testing

/// A program with the probe, its ledger, and the report on it, as their users see them.
@Suite struct LeakTests {
    /// The keys that other programs may rely on.
    struct Report: Decodable {
        struct Verdict: Decodable { var `class`, summary: String }
        struct Growth: Decodable {
            var bytesPerSecond, low, high: Double
            var pattern: String
        }
        struct Suspect: Decodable {
            struct Frame: Decodable {
                var function, module: String
                var file: String?
                var line: Int?
            }
            struct Evidence: Decodable { var kind, text: String }
            var rank: Int
            var confidence, liveBytes, liveCount, averageSize, bytesPerSecond, freedShare: Double
            var stack: [Frame]
            var evidence: [Evidence]
        }
        var verdict: Verdict
        var growth: Growth
        var timeToLimitSeconds: Double?
        var suspects: [Suspect]
    }

    /// Counted by the service, sampled by the probe, summed by the analysis.
    @Test func theLedgerThatAProgramLeavesNamesItsLeak() throws {
        let folder = TemporaryFolder()
        // Within ten seconds nobody can tell a leak from a cache that fills: the verdict needs a little longer.
        let service = try run(
            Products.path("activity-service"), ["--rate", "16MiB", "--duration", "12"],
            environment: ["LD_PRELOAD": Products.probe, "HEAPTIDE_DIR": folder.path])
        #expect(service.status == 0)
        #expect(service.errors.isEmpty)
        let events = try #require(service.output.matches(of: /events=(\d+)/).last.flatMap { Double($0.1) })

        let ledger = try #require(LedgerFolder(path: folder.path).all().first)
        let analysis = try run(Products.heaptide, ["analyze", ledger, "--format", "json"])
        #expect(analysis.status == 0, "\(analysis.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(analysis.output.utf8))
        #expect(report.verdict.class == "leak")

        let suspect = try #require(report.suspects.first)
        let frame = try #require(suspect.stack.first)
        #expect(suspect.rank == 1)
        #expect(frame.function.contains("UserActivityTracker.record"))
        #expect(frame.module == "activity-service")
        #expect(frame.file?.hasSuffix("UserActivityTracker.swift") == true)
        #expect((frame.line ?? 0) > 0)
        #expect((0...1).contains(suspect.confidence))
        #expect(suspect.evidence.allSatisfy { !$0.text.isEmpty })
        // Four standard errors of some 3,000 samples. Beside its events the tracker has arrays, some 8% of its bytes.
        #expect(abs(suspect.liveCount / events - 1) < 0.08)
        #expect(abs(suspect.averageSize / 152 - 1) < 0.08)

        let text = try run(Products.heaptide, ["analyze", ledger])
        #expect(text.status == 0)
        #expect(text.output.contains("UserActivityTracker.record"))
    }
}
