import Foundation
import TestSupport
import Testing

/// What a service must not notice: that something stands between it and whoever started it.
@Suite(.timeLimit(.minutes(2))) struct SupervisionTests {
    private let folder = TemporaryFolder()

    @Test(arguments: [0, 1, 7, 255]) func exitStatusPassesThrough(status: Int32) throws {
        #expect(try runService("exit \(status)", output: folder).status == status)
    }

    @Test(arguments: ["KILL": 137, "TERM": 143, "SEGV": 139, "USR1": 138])
    func deathBySignalIs128AndItsNumber(signal: String, status: Int32) throws {
        #expect(try runService("kill -\(signal) $$", output: folder).status == status)
    }

    @Test func commandsThatCannotRun() throws {
        let missing = try run(Products.heaptide, ["run", "--output", folder.path, "--", "no-such-command-anywhere"])
        #expect(missing.status == 127)
        #expect(missing.errors == "heaptide: no-such-command-anywhere: command not found\n")
        let text = try run(Products.heaptide, ["run", "--output", folder.path, "--", "/etc/passwd"])
        #expect(text.status == 126)
        #expect(text.errors.hasPrefix("heaptide: /etc/passwd: cannot be executed"))
    }

    @Test func wrongUseIsStatus2() throws {
        for arguments in [["run"], ["run", "--memory-limit", "lots", "--", "true"], ["agent"], ["snapshot", "0"]] {
            let result = try run(Products.heaptide, arguments)
            #expect(result.status == 2)
            #expect(!result.errors.isEmpty && result.output.isEmpty)
        }
        #expect(try run(Products.heaptide, ["--help"]).status == 0)
    }

    @Test func everyCommandHasAnExample() throws {
        for command in ["run", "agent", "snapshot", "analyze", "symbolize", "doctor", "version"] {
            let help = try run(Products.heaptide, [command, "--help"])
            #expect(help.status == 0)
            #expect(help.output.contains("Example: heaptide \(command)"), "\(command)")
        }
    }

    @Test func aScriptWithoutAFirstLineRuns() throws {
        let script = folder.file("script")
        write(Array("echo by a shell; exit 4\n".utf8), to: script)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        let result = try run(Products.heaptide, ["run", "-q", "--output", folder.path, "--", script])
        #expect(result.status == 4)
        #expect(result.output == "by a shell\n")
    }

    @Test func theServiceGetsTheProbeBesideWhatWasPreloaded() throws {
        let result = try runService(
            "env", output: folder, options: ["--interval", "128k", "--memory-limit", "200M"],
            environment: ["LD_PRELOAD": "libc.so.6"])
        let lines = Set(result.output.split(separator: "\n").map(String.init))
        #expect(lines.contains("LD_PRELOAD=\(Products.probe) libc.so.6"))
        #expect(lines.contains { $0.hasPrefix("HEAPTIDE_DIR=\(folder.file("ledgers"))/run-") })
        #expect(lines.contains("HEAPTIDE_SAMPLE_INTERVAL=131072"))
        #expect(lines.contains("HEAPTIDE_LEDGER_SIZE=\(200 * 1_048_576 / 50)"))
    }

    @Test(arguments: ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "ALRM", "CONT"])
    func signalsAreForwarded(signal: String) throws {
        let service = try Live.heaptide(
            "run", "-q", "--output", folder.path, "--ledgers", folder.file("ledgers"), "--", "/bin/sh", "-c",
            "trap 'echo got \(signal); exit 9' \(signal); echo ready; while :; do :; done")
        #expect(service.line() == "ready")
        kill(service.pid, Self.number(signal))
        #expect(service.line() == "got \(signal)")
        #expect(service.status() == 9)
    }

    @Test func orphansAreWaitedFor() throws {
        // The grandchild's parent is gone, so it is heaptide's to wait for; a zombie would stand in /proc for ever.
        let result = try runService(
            """
            orphan=$(sh -c 'sh -c "exit 3" >/dev/null 2>&1 & echo $!')
            while [ -d /proc/$orphan ]; do :; done
            echo waited
            """, output: folder)
        #expect(result.output == "waited\n")
        #expect(result.status == 0)
    }

    @Test func aStoppedServiceGoesOn() throws {
        mkfifo(folder.file("fifo"), 0o600)
        let service = try Live.heaptide(
            "run", "-q", "--output", folder.path, "--ledgers", folder.file("ledgers"), "--", "/bin/sh", "-c",
            "echo $$; read -r line < \(folder.file("fifo")); echo $line")
        let pid = try #require(service.line().flatMap { Int32($0) })
        kill(service.pid, SIGTSTP)
        while Self.state(of: pid) != "T" || Self.state(of: service.pid) != "T" {}
        kill(service.pid, SIGCONT)
        while Self.state(of: pid) == "T" || Self.state(of: service.pid) == "T" {}
        write(Array("on again\n".utf8), to: folder.file("fifo"))
        #expect(service.line() == "on again")
        #expect(service.status() == 0)
    }

    private static func number(_ name: String) -> Int32 {
        [
            "TERM": SIGTERM, "INT": SIGINT, "HUP": SIGHUP, "QUIT": SIGQUIT, "USR1": SIGUSR1, "USR2": SIGUSR2,
            "WINCH": SIGWINCH, "ALRM": SIGALRM, "CONT": SIGCONT,
        ][name] ?? 0
    }

    private static func state(of pid: Int32) -> Character? {
        let text = String(decoding: contents(of: "/proc/\(pid)/stat"), as: UTF8.self)
        return text.split(separator: ")").last?.first { $0 != " " }
    }
}
