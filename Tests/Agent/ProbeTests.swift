import Agent
import Foundation
import TestSupport
import Testing

@Suite struct ProbeTests {
    private let folder = TemporaryFolder()

    private func file(_ name: String, _ text: String) -> String {
        write(Array(text.utf8), to: folder.file(name))
        return folder.file(name)
    }

    @Test func ordinaryProgramsTakeTheProbe() throws {
        #expect(Probe.obstacle(in: "/bin/sh") == nil)
        #expect(Probe.obstacle(in: file("script", "#!/bin/sh -e\n")) == nil)
        #expect(Probe.obstacle(in: file("env", "#! /usr/bin/env -S sh\n")) == nil)
    }

    @Test func othersSayWhyNot() throws {
        let program = try compile("int main(void) { return 0; }", as: "static.c", flags: ["-static"], in: folder)
        #expect(Probe.obstacle(in: program) == "it is linked statically")
        let script = file("script", "#!\(program)\n")
        #expect(Probe.obstacle(in: script) == "its interpreter \(program): it is linked statically")
        #expect(Probe.obstacle(in: file("text", "hello")) == "it is no ELF program")
        #expect(Probe.obstacle(in: file("empty", "")) == "it is no ELF program")
        #expect(Probe.obstacle(in: file("loop", "#!\(folder.file("loop"))\n")) == nil)
        var foreign = Array(contents(of: "/bin/sh").prefix(4096))
        foreign[18] = 0xb7
        foreign[19] = 0x77
        write(foreign, to: folder.file("foreign"))
        #expect(Probe.obstacle(in: folder.file("foreign")) == "it was built for another machine type")
    }

    @Test func environmentsOfScriptsAreNoPrograms() throws {
        let program = try compile("int main(void) { return 0; }", as: "static.c", flags: ["-static"], in: folder)
        #expect(Probe.obstacle(in: file("set", "#!/usr/bin/env -S A=b \(program)\n")) != nil)
    }

    @Test func anotherCLibrary() throws {
        let musl = try #require(findProgram("musl-gcc"), "musl-tools is installed by Tests/run.sh")
        let source = file("musl.c", "int main(void) { return 0; }")
        #expect(try run(musl, [source, "-o", folder.file("musl")]).status == 0)
        #expect(Probe.obstacle(in: folder.file("musl")) == "its C library is not glibc (/lib/ld-musl-x86_64.so.1)")
        #expect(try run(musl, ["-static", source, "-o", folder.file("both")]).status == 0)
        #expect(Probe.obstacle(in: folder.file("both")) == "it is linked statically")
        #expect(Probe.obstacle(in: file("script", "#!\(folder.file("musl"))\n"))?.hasPrefix("its interpreter") == true)
    }

    @Test func otherMachines() {
        for (place, value) in [(4, 1), (5, 2), (18, 0xb7), (18, 3)] as [(Int, UInt8)] {
            var bytes = Array(contents(of: "/bin/sh").prefix(4096))
            bytes[place] = value
            write(bytes, to: folder.file("foreign"))
            #expect(Probe.obstacle(in: folder.file("foreign")) == "it was built for another machine type", "\(place)")
        }
    }

    @Test(arguments: [("address", "Address"), ("thread", "Thread")]) func sanitizers(flag: String, name: String) throws
    {
        let program = try compile(
            "int main(void) { return 0; }", as: "sanitized.c", flags: ["-fsanitize=\(flag)"], in: folder)
        #expect(Probe.obstacle(in: program) == "it was built with \(name)Sanitizer")
    }

    @Test(.enabled(if: geteuid() == 0)) func programsWithOtherRights() throws {
        let program = try compile("int main(void) { return 0; }", as: "privileged.c", in: folder)
        let reason = "it runs with other rights than its caller (setuid, setgid or capabilities)"
        for mode in [0o4755, 0o2755, 0o755] as [mode_t] {
            #expect(chown(program, 65534, 65534) == 0 && chmod(program, mode) == 0)
            #expect(Probe.obstacle(in: program) == (mode == 0o755 ? nil : reason), "mode \(mode)")
        }
        let script = file("script", "#!\(program)\n")
        chmod(program, 0o4755)
        #expect(Probe.obstacle(in: script) == "its interpreter \(program): \(reason)")
    }

    /// The service runs all the same.
    @Test func aProbeThatCannotBeNamed() throws {
        try FileManager.default.createDirectory(
            atPath: folder.file("a b"), withIntermediateDirectories: false)
        let probe = folder.file("a b/probe.so")
        try FileManager.default.copyItem(atPath: Products.probe, toPath: probe)
        let outcome = try runService("echo unharmed", output: folder, options: ["--probe", probe])
        #expect(outcome.output == "unharmed\n" && outcome.status == 0)
        #expect(outcome.errors.contains("LD_PRELOAD cannot name a path with a space"))
        let doctor = try run(Products.heaptide, ["doctor", "--probe", probe])
        #expect(doctor.output.contains("LD_PRELOAD cannot name a path with a space"))
    }

    @Test func damagedProgramsAreNoTrouble() throws {
        let whole = Array(contents(of: "/bin/sh").prefix(4096))
        var random = SplitMix64(seed: 9)
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<8 {
                bytes[Int.random(in: 4..<1024, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...4090, using: &random))
            write(bytes, to: folder.file("damaged"))
            _ = Probe.obstacle(in: folder.file("damaged"))
        }
    }

    @Test func onlyTheNewestSnapshotsOfAServiceStay() {
        let snapshots = SnapshotFolder(path: folder.path, keep: 3)
        var paths: [String] = []
        for second in 0..<6 {
            let path = snapshots.newPath(
                name: "web", pid: 1, trigger: second.isMultiple(of: 2) ? "limit" : "killed",
                time: 1_795_300_000 + Double(second) * 0.4)
            write([1], to: path)
            paths.append(path)
        }
        let other = snapshots.newPath(name: "web-admin", pid: 1, trigger: "limit", time: 5)
        for path in [other, folder.file("web-notes.heaptide"), folder.file("web.txt")] { write([1], to: path) }
        snapshots.prune(name: "web")
        let left = names(in: folder.path).map(folder.file)
        #expect(Set(left) == Set(paths.suffix(3) + [other, folder.file("web-notes.heaptide"), folder.file("web.txt")]))
    }

    @Test func aNameCannotLeaveTheFolder() {
        let path = SnapshotFolder(path: "/out", keep: 1).newPath(name: "../../etc/x y", pid: 1, trigger: "t", time: 0)
        #expect(path == "/out/service-19700101T000000.000Z-1-t.heaptide")
    }
}
