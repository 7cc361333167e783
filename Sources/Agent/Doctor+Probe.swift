import Attach
import CLinux
import Glibc
import HeapLedger
import HeapProfile

extension Doctor {
    /// Finds the probe and runs a small program with it: only that shows that it loads and records here.
    static func checkProbe(_ given: String?, _ diagnosis: inout Diagnosis) {
        guard let probe = Probe.locate(given) else {
            let file = given ?? "\(Probe.fileName) beside heaptide"
            return diagnosis.add("probe", .missing, "no \(file): install it there or give --probe FILE")
        }
        if let obstacle = Probe.obstacle(inPath: probe) {
            return diagnosis.add("probe", .missing, "\(probe): \(obstacle)")
        }
        var template = Array("/tmp/heaptide-doctor-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            return diagnosis.add("probe", .degraded, "\(probe): not tried, /tmp cannot be written (\(reason(errno)))")
        }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            for name in Folders.names(in: folder) { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        let said = tryOut(probe, folder)
        guard let path = LedgerFolder(path: folder).all().first, let ledger = try? LedgerFile(path: path) else {
            let why = said.split(separator: "\n").first.map(String.init) ?? "a program run with it recorded nothing"
            return diagnosis.add("probe", .missing, "\(probe): \(why)")
        }
        let sampling = ledger.sampling()
        diagnosis.add("probe", .ok, "\(probe) loads and records")
        diagnosis.add(
            "libunwind", sampling.hasUnwinder ? .ok : .missing,
            sampling.hasUnwinder
                ? "loaded by the probe"
                : "libunwind-x86_64.so.8 is not installed, so that stacks have one frame: install libunwind8")
    }

    /// Whether the probe can be brought into the process as it runs.
    static func attach(_ pid: Int32, _ given: String?, _ diagnosis: inout Diagnosis) {
        guard let probe = Probe.locate(given) else { return }
        if let obstacle = Attachment(pid: pid).obstacle(probe: probe) {
            diagnosis.add("attach", .missing, obstacle.description)
        } else {
            diagnosis.add("attach", .ok, "possible: heaptide attach \(pid)")
        }
    }

    /// What the program and the loader wrote to standard error.
    private static func tryOut(_ probe: String, _ folder: String) -> String {
        let output = clinux_memory_file("heaptide-doctor")
        guard output >= 0 else { return "" }
        defer { close(output) }
        var mask = sigset_t()
        sigemptyset(&mask)
        let environment = currentEnvironment().setting([
            "LD_PRELOAD": probe, "HEAPTIDE_DIR": folder, "HEAPTIDE_SAMPLE_INTERVAL": "1", "HEAPTIDE_LEDGER_SIZE": "2M",
        ])
        let spawn = Spawn(
            path: "/bin/ls", arguments: ["ls", "-d", "/"].map { Array($0.utf8) }, environment: environment.entries,
            output: output,
            mask: mask, defaults: mask)
        guard case .success(let pid) = spawn.start() else { return "" }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return String(decoding: readBytes("/proc/self/fd/\(output)") ?? [], as: UTF8.self)
            .split(separator: "\n").filter { $0 != "/" }.joined(separator: "\n")
    }
}
