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
