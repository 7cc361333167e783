import Foundation
import HeapLedger
import HeapProfile
import TestSupport
import Testing

/// A running probe follows orders at its next sample, and says what it left out.
@Suite struct OrderTests {
    /// Allocates 100 blocks of each size named on its input, answering each with a line.
    private static let program = """
        #include <stdio.h>
        #include <stdlib.h>
        void *volatile keep;
        int main(void) {
            int size;
            setvbuf(stdout, NULL, _IONBF, 0);
            setvbuf(stdin, NULL, _IONBF, 0);
            while (scanf("%d", &size) == 1) {
                for (int i = 0; i < 100; i++) keep = malloc(size);
                printf("%d\\n", size);
            }
            return 0;
        }
        """

    @Test func pauseResumeAndInterval() throws {
        let probed = try Probed(Self.program)
        let running = try probed.start()
        let ledger = try #require(try running.allocate(5401, in: probed))
        try LedgerFile.give(.pause, to: ledger)
        try running.allocate(5403, in: probed)
        // Nothing is known of the time after the pause.
        let pausedAt = try #require(try LedgerFile(path: ledger).sampling().pausedAt)
        #expect(try LedgerFile(path: ledger).profile(at: .max).duration == pausedAt)
        try LedgerFile.give(.pause, to: ledger)
        #expect(try LedgerFile(path: ledger).sampling().pausedAt == pausedAt)
        try LedgerFile.give(.resume, to: ledger)
        try running.allocate(5405, in: probed)
        try LedgerFile.give(.interval(1 << 30), to: ledger)
        try running.allocate(5407, in: probed)
        running.finish()
        let profile = try LedgerFile(path: ledger).profile()
        #expect(profile.blocks(ofSize: 5401).live == 100)
        #expect(profile.blocks(ofSize: 5403).live == 0)
        #expect(profile.sampling.samplesPaused >= 100)
        #expect(profile.blocks(ofSize: 5405).live == 100)
        // The order comes into force after the sample that was due already.
        #expect(profile.samples.count { $0.size == 5407 } <= 2)
        #expect(profile.sampling.interval == 1 << 30)
    }

    /// What grows as before and after has the rate that it had: blocks stand one behind the other in the ledger's time.
    @Test func aPauseIsNoTime() throws {
        let probed = try Probed(Self.program)
        let clock = ContinuousClock()
        let start = clock.now
        let running = try probed.start()
        let ledger = try #require(try running.allocate(5411, in: probed))
        for _ in 0..<2 {
            try LedgerFile.give(.pause, to: ledger)
            usleep(400_000)
            try LedgerFile.give(.resume, to: ledger)
            try running.allocate(5413, in: probed)
        }
        running.finish()
        let profile = try LedgerFile(path: ledger).profile()
        #expect(profile.blocks(ofSize: 5413).live == 200)
        let elapsed = start.duration(to: clock.now)
        #expect(Duration.seconds(profile.duration) < elapsed - .milliseconds(790))
        #expect(profile.samples.allSatisfy { $0.birth <= profile.duration })
        #expect(profile.sites.allSatisfy { $0.first <= $0.last && $0.last <= profile.duration })
    }

    @Test func anOrderNeedsALedger() throws {
        let folder = TemporaryFolder()
        let file = folder.file("1-1.ledger")
        write(Array("no ledger".utf8), to: file)
        #expect(throws: HeapLedgerError.self) { try LedgerFile.give(.pause, to: file) }
        #expect(contents(of: file) == Array("no ledger".utf8))
    }
}

/// A program that answers on its output what it was told on its input.
final class Conversation {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    init(_ program: String, environment: [String: String]) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Returns when the answer is there: the ledger's path, once there is one.
    @discardableResult
    func allocate(_ size: Int, in probed: Probed) throws -> String? {
        input.fileHandleForWriting.write(Data("\(size)\n".utf8))
        var answer = Data()
        while answer.last != UInt8(ascii: "\n") {
            guard let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty else { return nil }
            answer += byte
        }
        return LedgerFolder(path: probed.ledgers).all().first
    }

    func finish() {
        input.fileHandleForWriting.closeFile()
        process.waitUntilExit()
    }
}

extension Probed {
    func start(interval: String = "1") throws -> Conversation {
        try Conversation(
            program,
            environment: [
                "HEAPTIDE_DIR": ledgers, "HEAPTIDE_SAMPLE_INTERVAL": interval, "HEAPTIDE_LEDGER_SIZE": "16MiB",
                "LD_PRELOAD": Products.probe,
            ])
    }
}
