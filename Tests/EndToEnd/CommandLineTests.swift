import Foundation
import Testing

/// What scripts rely on: exit statuses and where messages go. The longer checks are the Python files in checks/.
@Suite struct CommandLineTests {
    @Test(arguments: ["run", "agent", "snapshot", "analyze", "doctor"])
    func helpOfEachCommandHasAnExample(_ name: String) throws {
        let command = try Command("heaptide", name, "--help")
        #expect(command.status == 0)
        #expect(command.output.contains("heaptide \(name)"))
        #expect(command.output.localizedStandardContains("example"))
    }

    @Test func wrongUseIsStatus2() throws {
        #expect(try Command("heaptide", "analyze").status == 2)
        #expect(try Command("heaptide", "analyze", "x", "--format", "odd").status == 2)
        #expect(try Command("heaptide", "run").status == 2)
        #expect(try Command("heaptide", "snapshot", "many", "--output", "x").status == 2)
        #expect(try Command("heaptide", "no-such-command").status == 2)
    }

    @Test func whatCannotBeDoneIsStatus3AndOneLine() throws {
        for command in [
            try Command("heaptide", "analyze", "/absent.heaptide"),
            try Command("heaptide", "analyze", "/etc/passwd"),
            try Command("heaptide", "snapshot", "2147483647", "--output", "/tmp/absent.heaptide"),
            try Command("heaptide", "run", "--output", "/proc/none", "--", "/bin/true"),
        ] {
            #expect(command.status == 3)
            #expect(command.output.isEmpty)
            #expect(command.errors.hasPrefix("heaptide: "))
            #expect(command.errors.split(separator: "\n").count == 1, "\(command.errors)")
        }
    }

    @Test func runHandsOnOutputAndStatus() throws {
        let folder = try TemporaryFolder()
        let command = try Command(
            "heaptide", "run", "--output", folder.path, "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        #expect(command.status == 7)
        #expect(command.output == "out\n")
        #expect(command.errors.contains("err\n"))
    }

    @Test func runTellsOfASignalAsAShellDoes() throws {
        let folder = try TemporaryFolder()
        let command = try Command("heaptide", "run", "--output", folder.path, "--", "/bin/sh", "-c", "kill -TERM $$")
        #expect(command.status == 128 + 15)
    }
}
