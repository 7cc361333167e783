import Foundation
import TestSupport
import Testing

/// What scripts rely on: exit statuses and where messages go. The longer checks are the Python files in checks/.
@Suite struct CommandLineTests {
    private func heaptide(_ arguments: String...) throws -> Finished { try run(Products.heaptide, arguments) }

    @Test(arguments: ["run", "agent", "attach", "snapshot", "analyze", "doctor"])
    func helpOfEachCommandHasAnExample(_ name: String) throws {
        let command = try heaptide(name, "--help")
        #expect(command.status == 0)
        #expect(command.output.contains("heaptide \(name)"))
        #expect(command.output.localizedStandardContains("example"))
    }

    @Test func wrongUseIsStatus2() throws {
        #expect(try heaptide("analyze").status == 2)
        #expect(try heaptide("analyze", "x", "--format", "odd").status == 2)
        #expect(try heaptide("run").status == 2)
        #expect(try heaptide("snapshot", "many", "--output", "x").status == 2)
        #expect(try heaptide("no-such-command").status == 2)
    }

    @Test func whatCannotBeDoneIsStatus3AndOneLine() throws {
        for command in [
            try heaptide("analyze", "/absent.heaptide"),
            try heaptide("analyze", "/etc/passwd"),
            try heaptide("snapshot", "2147483647", "--output", "/tmp/absent.heaptide"),
            try heaptide("run", "--output", "/proc/none", "--", "/bin/true"),
        ] {
            #expect(command.status == 3)
            #expect(command.output.isEmpty)
            #expect(command.errors.hasPrefix("heaptide: "))
            #expect(command.errors.split(separator: "\n").count == 1, "\(command.errors)")
        }
    }

    @Test func runHandsOnOutputAndStatus() throws {
        let folder = TemporaryFolder()
        let command = try heaptide(
            "run", "--output", folder.path, "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        #expect(command.status == 7)
        #expect(command.output == "out\n")
        #expect(command.errors.contains("err\n"))
    }

    @Test func runTellsOfASignalAsAShellDoes() throws {
        let folder = TemporaryFolder()
        let command = try heaptide("run", "--output", folder.path, "--", "/bin/sh", "-c", "kill -TERM $$")
        #expect(command.status == 128 + 15)
    }
}
