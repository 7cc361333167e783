import Foundation
import TestSupport
import Testing

/// What is left when a service has ended, and who is told.
@Suite(.timeLimit(.minutes(2))) struct EvidenceTests {
    private let folder = TemporaryFolder()

    private var snapshots: [String] { names(in: folder.file("snapshots")) }
    /// Of all runs, with the folder of each.
    private var ledgers: [String] {
        names(in: folder.file("ledgers")).flatMap { run in
            [run] + names(in: folder.file("ledgers/\(run)")).map { "\(run)/\($0)" }
        }
    }

    /// The functions of all suspects and healthy sites of the only snapshot, as JSON text.
    private func analysis() throws -> String {
        let name = try #require(snapshots.first)
        let result = try run(
            Products.heaptide, ["analyze", folder.file("snapshots/\(name)"), "--format", "json"])
        #expect(result.status == 0)
        return result.output
    }

    @Test func aKilledServiceLeavesOneSnapshotAndNoLedger() throws {
        let holder = try holdingProgram("kill(getpid(), SIGKILL);", in: folder)
        let result = try runService("exec \(holder)", output: folder)
        #expect(result.status == 137)
        #expect(snapshots.count == 1 && snapshots.allSatisfy { $0.hasSuffix("-killed.heaptide") })
        #expect(ledgers.isEmpty)
        #expect(try analysis().contains("hold_memory"))
    }

    /// The shell alone sees whether it was a kill or `_exit`: the evidence is kept, and no alarm is raised.
    @Test(arguments: ["kill(getpid(), SIGKILL);", "_exit(0);"])
    func aProgramThatEndedBelowAShellIsFoundToo(ending: String) throws {
        let holder = try holdingProgram(ending, in: folder)
        let result = try run(
            Products.heaptide,
            ["run", "--output", folder.file("snapshots"), "--", "/bin/sh", "-c", "\(holder); echo; exit 5"],
            environment: ["HEAPTIDE_DIR": ""])
        #expect(result.status == 5)
        #expect(snapshots.count == 1 && snapshots.allSatisfy { $0.hasSuffix("-exit.heaptide") })
        #expect(result.errors.contains("which ended without closing its ledger"))
        #expect(!result.errors.contains("was killed"))
        #expect(try analysis().contains("hold_memory"))
    }

    /// The program below the shell held most of the memory until just before the shell ended.
    @Test(arguments: ["kill(getpid(), SIGKILL);", "_exit(0);", "return 0;"])
    func aParentThatEndsRightAfterwardsHidesNothing(ending: String) throws {
        let holder = try holdingProgram("sleep(2); \(ending)", in: folder)
        _ = try runService("\(holder) >/dev/null; exit 0", output: folder, options: ["--snapshot-at-exit"])
        let analyses = try snapshots.map {
            try run(Products.heaptide, ["analyze", folder.file("snapshots/\($0)")]).output
        }
        #expect(analyses.contains { $0.contains("hold_memory") }, "\(analyses)")
        #expect(ledgers.isEmpty)
    }

    @Test func anOrphanThatWasKilledIsTold() throws {
        let holder = try holdingProgram("kill(getpid(), SIGKILL);", in: folder)
        // The inner shell is gone before the program ends, so that heaptide waits for it.
        let result = try runService(
            """
            pid=$(sh -c '\(holder) >/dev/null & echo $!')
            while [ -d /proc/$pid ]; do :; done
            """, output: folder)
        #expect(snapshots.count == 1 && snapshots.allSatisfy { $0.hasSuffix("-killed.heaptide") })
        #expect(result.errors.contains("was killed"))
        #expect(ledgers.isEmpty)
    }

    @Test func shortLivedChildrenLeaveNothing() throws {
        #expect(try runService("for i in 1 2 3 4; do ls / >/dev/null; done; exit 0", output: folder).status == 0)
        #expect(ledgers.isEmpty)
    }

    @Test func theServiceGetsItsEnvironmentAsItIs() throws {
        let result = try runService(
            "export A=\"$(printf 'caf\\351')\"; exec \(Products.heaptide) run -q --output \(folder.path) -- "
                + "/bin/sh -c 'printf %s \"$A\" | od -An -tx1'", output: folder)
        #expect(result.output.contains("63 61 66 e9"))
    }

    @Test func aCleanExitLeavesNothing() throws {
        let holder = try holdingProgram("return 0;", in: folder)
        #expect(try runService("exec \(holder)", output: folder).status == 0)
        #expect(snapshots.isEmpty && ledgers.isEmpty)
    }

    @Test func aCleanExitIsKeptWhereAsked() throws {
        let holder = try holdingProgram("return 0;", in: folder)
        _ = try runService("exec \(holder)", output: folder, options: ["--snapshot-at-exit"])
        #expect(snapshots.count == 1 && snapshots.allSatisfy { $0.hasSuffix("-exit.heaptide") })
        #expect(ledgers.isEmpty)
    }

    @Test func theSnapshotComesBeforeTheLimit() throws {
        let holder = try holdingProgram("getchar();", mebibytes: 90, in: folder)
        mkfifo(folder.file("fifo"), 0o600)
        let service = try Live.heaptide(
            "run", "--output", folder.file("snapshots"), "--ledgers", folder.file("ledgers"), "--memory-limit", "100M",
            "--", "/bin/sh", "-c", "exec \(holder) < \(folder.file("fifo"))")
        let hold = FileHandle(forWritingAtPath: folder.file("fifo"))
        let lines = service.errors(until: "heaptide: snapshot: ")
        #expect(lines.last?.hasSuffix("-limit.heaptide") == true)
        #expect(service.line() == "ready")
        try hold?.close()
        #expect(service.status() == 0)
        #expect(try analysis().contains("hold_memory"))
    }

    @Test func whatCannotBeWrittenStaysInTheLedger() throws {
        let holder = try holdingProgram("kill(getpid(), SIGKILL);", in: folder)
        let result = try runService("rm -r \(folder.file("snapshots")); exec \(holder)", output: folder)
        #expect(result.status == 137)
        #expect(result.errors.contains("stays in \(folder.file("ledgers"))/"))
        // Among those of the shell and of `rm`.
        let analyses = try ledgers.filter { $0.hasSuffix(".ledger") }.map {
            try run(Products.heaptide, ["analyze", folder.file("ledgers/\($0)")]).output
        }
        #expect(analyses.contains { $0.contains("hold_memory") })
    }

    @Test func anUnusableFolderIsSaidBeforeTheServiceStarts() throws {
        write([1], to: folder.file("file"))
        let result = try run(
            Products.heaptide, ["run", "--output", folder.file("file"), "--", "/bin/sh", "-c", "echo started"])
        #expect(result.status == 3)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("heaptide: ") && result.errors.split(separator: "\n").count == 1)
    }

    // MARK: Without the probe

    @Test func aStaticProgramIsWatchedAllTheSame() throws {
        let program = try compile("int main(void) { return 6; }", as: "static.c", flags: ["-static"], in: folder)
        let result = try run(Products.heaptide, ["run", "--output", folder.path, "--", program])
        #expect(result.status == 6)
        #expect(result.errors.contains("cannot take the probe, it is linked statically"))
        #expect(!result.errors.contains("LD_PRELOAD"))
    }

    /// Nobody is told to start or to attach what cannot be recorded.
    @Test func ofAStaticProgramNoLedgerIsPromised() throws {
        let program = try compile(
            "#include <unistd.h>\nint main(void) { write(1, \"ready\\n\", 6); pause(); }", as: "waits.c",
            flags: ["-static", "-w"], in: folder)
        let live = try Live(program, [])
        #expect(live.line() == "ready")
        for command in ["probe", "doctor"] {
            let result = try run(Products.heaptide, [command, "\(live.pid)"])
            let text = result.output + result.errors
            #expect(text.contains("it cannot take the probe, it is linked statically"), "\(text)")
            #expect(!text.contains("by `heaptide"), "\(text)")
        }
    }

    @Test func aMissingProbeIsSaid() throws {
        let result = try runService("exit 6", output: folder, options: ["--probe", "/no/such/probe.so"])
        #expect(result.status == 6)
        #expect(result.errors.contains("there is no probe (/no/such/probe.so)"))
    }

    // MARK: Hooks

    @Test func theHookGetsTheEventAsJSON() throws {
        let file = folder.file("event")
        let command = "cat > \(file).$HEAPTIDE_EVENT; echo $HEAPTIDE_NAME $HEAPTIDE_SNAPSHOT > \(file)-$HEAPTIDE_EVENT"
        let result = try runService(
            "kill -KILL $$", output: folder, options: ["--name", "shop", "--on-event", command])
        #expect(result.status == 137)
        for kind in ["snapshot", "killed"] {
            let json = try JSONSerialization.jsonObject(with: Data(contents(of: "\(file).\(kind)")))
            let event = try #require(json as? [String: Any])
            #expect(event["event"] as? String == kind)
            #expect(event["name"] as? String == "shop")
            let snapshot = try #require(event["snapshot"] as? String)
            #expect(FileManager.default.fileExists(atPath: snapshot))
            let variables = String(decoding: contents(of: "\(file)-\(kind)"), as: UTF8.self)
            #expect(variables == "shop \(snapshot)\n")
        }
    }

    @Test func aBrokenHookIsSaidOnceAndDisturbsNothing() throws {
        let result = try runService("kill -KILL $$", output: folder, options: ["--on-event", "exit 3"])
        #expect(result.status == 137)
        #expect(result.errors.components(separatedBy: "--on-event exit 3 failed (ended with status 3)").count == 2)
        #expect(snapshots.count == 1)
    }

    @Test func theWebhookIsToldByRun() async throws {
        let listener = try Listener(answers: [204, 204])
        let result = try runService(
            "kill -KILL $$", output: folder, options: ["--webhook", "http://127.0.0.1:\(listener.port)/hook"])
        #expect(result.status == 137)
        let bodies = listener.finish()
        #expect(bodies.count == 2)
        #expect(bodies.contains { $0.contains("\"event\":\"killed\"") && $0.contains("-killed.heaptide") })
    }
}
