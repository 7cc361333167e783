import Foundation
import TestSupport
import Testing

/// `heaptide agent` and `heaptide snapshot`: processes that somebody else started.
@Suite(.timeLimit(.minutes(2))) struct AttendanceTests {
    private let folder = TemporaryFolder()

    /// A program with the probe that holds memory and waits for a signal.
    private func target() throws -> Live {
        let target = try Live(
            try holdingProgram("pause();", in: folder), [],
            environment: ["LD_PRELOAD": Products.probe, "HEAPTIDE_DIR": folder.file("ledgers")])
        #expect(target.line() == "ready")
        return target
    }

    private var snapshots: [String] { names(in: folder.file("snapshots")) }

    @Test func aKilledProcessLeavesASnapshot() throws {
        let target = try target()
        let agent = try Live.heaptide("agent", "--pid", "\(target.pid)", "--output", folder.file("snapshots"))
        #expect(agent.errors(until: "watching").last?.contains("holder") == true)
        kill(target.pid, SIGKILL)
        #expect(agent.status() == 0)
        #expect(snapshots.count == 1 && snapshots.allSatisfy { $0.hasSuffix("-killed.heaptide") })
        #expect(names(in: folder.file("ledgers")).isEmpty)
    }

    /// Pids are used again; in a container each start has the same one.
    @Test(arguments: [false, true]) func anotherProcessesLedgerOfTheSamePidIsLeftAlone(isOfThisBoot: Bool) throws {
        let process = try Live(try holdingProgram("pause();", in: folder), [])
        #expect(process.line() == "ready")
        let ledger = folder.file("ledgers/\(process.pid)-5.ledger")
        try FileManager.default.createDirectory(atPath: folder.file("ledgers"), withIntermediateDirectories: true)
        var old = LedgerBuilder(pid: UInt32(process.pid))
        old.live(old.site([0x1100]), size: 64 << 20, at: 1)
        var bytes = old.bytes()
        if isOfThisBoot { bytes.replace(Array(0..<16), with: Self.bootID(), maxReplacements: 1) }
        write(bytes, to: ledger)
        let agent = try Live.heaptide(
            "agent", "--pid", "\(process.pid)", "--output", folder.file("snapshots"), "--ledgers",
            folder.file("ledgers"))
        #expect(agent.errors(until: "watching").isEmpty == false)
        kill(process.pid, SIGTERM)
        #expect(agent.status() == 0)
        #expect(snapshots.isEmpty)
        #expect(FileManager.default.fileExists(atPath: ledger))
    }

    private static func bootID() -> [UInt8] {
        let text = String(decoding: contents(of: "/proc/sys/kernel/random/boot_id"), as: UTF8.self)
        let digits = text.filter(\.isHexDigit)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(digits.dropFirst($0).prefix(2), radix: 16) }
    }

    @Test func ledgersOfARunAreFoundBelowTheGivenFolder() throws {
        let service = try Live.heaptide(
            "run", "-q", "--output", folder.file("snapshots"), "--ledgers", folder.file("ledgers"), "--",
            try holdingProgram("pause();", in: folder))
        #expect(service.line() == "ready")
        let run = try #require(names(in: folder.file("ledgers")).first)
        let ledger = try #require(names(in: folder.file("ledgers/\(run)")).first)
        let pid = String(ledger.prefix { $0 != "-" })
        let file = folder.file("now.heaptide")
        let result = try TestSupport.run(
            Products.heaptide, ["snapshot", pid, "--output", file, "--ledgers", folder.file("ledgers")])
        #expect(result.status == 0 && result.errors.isEmpty)
        kill(service.pid, SIGTERM)
        #expect(service.status() == 143)
        #expect(names(in: folder.file("ledgers")).isEmpty)
    }

    @Test func processesOfANameAreWaitedFor() throws {
        let name = "tide\(getpid())"
        let agent = try Live.heaptide("agent", "--name", name, "--output", folder.file("snapshots"))
        #expect(agent.errors(until: "waiting for processes named \(name)").count == 1)
        let program = try holdingProgram("pause();", in: folder)
        try FileManager.default.moveItem(atPath: program, toPath: folder.file(name))
        let process = try Live(folder.file(name), [])
        #expect(agent.errors(until: "watching").last?.contains("process \(process.pid)") == true)
        kill(process.pid, SIGTERM)
        #expect(agent.errors(until: "has ended").isEmpty == false)
        kill(agent.pid, SIGTERM)
        #expect(agent.status() == 0)
    }

    @Test func aSnapshotIsTakenOnDemand() throws {
        let target = try target()
        let file = folder.file("now.heaptide")
        let result = try run(Products.heaptide, ["snapshot", "\(target.pid)", "--output", file])
        #expect(result.status == 0)
        #expect(result.output == file + "\n")
        let analysis = try run(Products.heaptide, ["analyze", file, "--format", "json"])
        #expect(analysis.output.contains("hold_memory"))
        #expect(names(in: folder.file("ledgers")).count == 1)
    }

    @Test func whatCannotBeDoneIsOneLineAndStatus3() throws {
        let nobody = "2147480000"  // beyond every pid_max
        for arguments in [
            ["agent", "--pid", nobody], ["snapshot", nobody, "--output", folder.file("x.heaptide")],
            ["snapshot", "\(getpid())", "--output", "/no/such/folder/x.heaptide"],
            ["snapshot", "\(getpid())", "--output", "/proc/x.heaptide"], ["doctor", nobody],
            ["analyze", "/no/such/file"], ["analyze", "/etc/passwd"], ["analyze", "/"], ["analyze", ""],
            ["symbolize", "/no/such/file"], ["symbolize", "/etc/passwd"],
            ["agent", "--name", "x", "--output", "/proc/x"],
        ] {
            let result = try run(Products.heaptide, arguments, in: folder.path)
            #expect(result.status == 3, "\(arguments)")
            #expect(result.errors.hasPrefix("heaptide: "), "\(arguments)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(arguments): \(result.errors)")
            #expect(result.output.isEmpty)
        }
        #expect(names(in: folder.path).isEmpty)
    }

    @Test func theDoctorLooksAtThisMachine() throws {
        struct Diagnosis: Decodable {
            struct Finding: Decodable {
                var subject: String
                var state: String
                var text: String
            }
            var findings: [Finding]
        }
        let result = try run(
            Products.heaptide, ["doctor", "\(getpid())", "--format", "json", "--ledgers", folder.file("ledgers")])
        #expect(result.status == 0)
        let diagnosis = try JSONDecoder().decode(Diagnosis.self, from: Data(result.output.utf8))
        let states = Dictionary(uniqueKeysWithValues: diagnosis.findings.map { ($0.subject, $0.state) })
        #expect(states["kernel"] != nil && states["cgroup"] != nil && states["memlock"] != nil)
        #expect(states["probe"] == "ok" && states["libunwind"] == "ok" && states["ledgers"] == "ok")
        #expect(states["ledger"] == "missing")
        #expect(names(in: folder.path).isEmpty)
        let text = try run(Products.heaptide, ["doctor", "--probe", "/no/such/probe.so", "--color", "never"])
        #expect(text.output.contains("missing   probe    no /no/such/probe.so"))
    }
}
