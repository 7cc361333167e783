import Foundation
import TestSupport
import Testing

/// The USDT probes, as a debugger finds them by their notes.
@Suite struct TapTests {
    private static let program = """
        #include <stdlib.h>
        int main(void) { void *volatile block = malloc(5477); free(block); return 0; }
        """

    @Test(.enabled(if: findProgram("gdb") != nil, "no gdb: samples/install-packages.sh --tests installs it"))
    func aDebuggerSeesSampledBlocks() throws {
        let probed = try Probed(Self.program)
        let commands = [
            "set env LD_PRELOAD=\(Products.probe)", "set env HEAPTIDE_DIR=\(probed.ledgers)",
            "set env HEAPTIDE_SAMPLE_INTERVAL=1", "set startup-with-shell off", "set pagination off", "break main",
            "run",
            "break -probe-stap otel_memory:alloc", "break -probe-stap otel_memory:free",
            "continue", "printf \"alloc %lx %lu %lu\\n\", $_probe_arg0, $_probe_arg1, $_probe_arg2",
            "continue", "printf \"free %lx\\n\", $_probe_arg0", "kill",
        ]
        let result = try TestSupport.run(
            "/usr/bin/env",
            ["gdb", "-q", "-nx", "-batch"] + commands.flatMap { ["-ex", $0] } + [probed.program], in: probed.folder.path
        )
        let alloc = try #require(result.output.firstMatch(of: /alloc ([0-9a-f]+) 5477 5477/), "\(result.output)")
        #expect(result.output.contains("free \(alloc.1)\n"))
    }
}
