import Glibc
import HeapProfile
import Snapshot
import TestSupport
import Testing

@Suite struct SnapshotTests {
    @Test(arguments: 0..<5 as Range<UInt64>) func everythingComesBack(seed: UInt64) throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        let contents = sampleContents(seed: seed)
        try writeSnapshot(contents, to: path)
        #expect(try SnapshotReader.read(path: path) == contents)
        #expect(SnapshotReader.isSnapshot(path: path))
    }

    @Test func oneFileIsTheWholeTruthAndItsOwnersOnly() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(), to: path)
        _ = try SnapshotReader.read(path: path)
        for suffix in [".partial", ".partial-journal", "-journal", "-wal", "-shm"] {
            #expect(access(path + suffix, F_OK) != 0)
        }
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func aProcessWithoutProfileIsASnapshot() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        let process = ProcessState(name: "x", pid: 1, capturedAt: 5, trigger: "manual")
        let writer = try SnapshotWriter(path: path)
        try writer.write(process: process)
        try writer.finish()
        #expect(try SnapshotReader.read(path: path) == SnapshotContents(process: process))
    }

    @Test func aStageWrittenAgainIsReplaced() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        let (first, second) = (sampleContents(seed: 1), sampleContents(sites: 10, samples: 30, seed: 2))
        let writer = try SnapshotWriter(path: path)
        for contents in [first, second] {
            try writer.write(process: contents.process)
            try writer.write(profile: #require(contents.profile))
            try writer.write(history: contents.history, alerts: contents.alerts, counts: contents.counts)
            try writer.write(symbols: contents.symbols)
            try writer.write(heap: #require(contents.heap))
        }
        try writer.finish()
        #expect(try SnapshotReader.read(path: path) == second)
    }

    /// NaN and infinity in one field must not cost the stage it stands in.
    @Test func numbersThatAreNoneBecomeZero() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        var contents = sampleContents()
        contents.process.extra = ["bad": .nan, "worse": .infinity, "good": 1]
        contents.profile?.sites[0].live.bytes = .nan
        contents.profile?.sites[0].history = [.nan, 1]
        contents.profile?.sites[1].first = .infinity
        contents.history[0].time = -.infinity
        try writeSnapshot(contents, to: path)
        let read = try SnapshotReader.read(path: path)
        #expect(!read.isPartial)
        #expect(read.process.extra == ["good": 1])
        #expect(read.profile?.sites[0].live.bytes == 0)
        #expect(read.profile?.sites[0].history == [0, 1])
        #expect(read.profile?.sites[1].first == 0)
        #expect(read.history[0].time == 0)
    }

    @Test func symbolsAreAddedLater() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        var contents = sampleContents()
        try writeSnapshot(contents, to: path)
        let known = try #require(contents.symbols.frames.keys.first)
        let new = CodeAddress(module: 2, offset: UInt64.max)
        let added = SymbolTable(frames: [
            known: [Frame(function: "resolved later", module: "m")],
            new: [Frame(function: "a", module: "m", isInlined: true), Frame(function: "b", module: "m")],
        ])
        try SnapshotReader.addSymbols(added, to: path)
        contents.symbols.frames.merge(added.frames) { $1 }
        #expect(try SnapshotReader.read(path: path) == contents)
    }

    @Test func pathsAreOnlyPaths() throws {
        let folder = TemporaryFolder()
        for name in ["file:a?mode=memory", "it's \"quoted\".heaptide", "ünï code", ":memory:"] {
            let contents = sampleContents(sites: 3, samples: 5)
            try writeSnapshot(contents, to: folder.file(name))
            #expect(try SnapshotReader.read(path: folder.file(name)) == contents)
        }
    }

    @Test func anOlderSnapshotStaysUntilTheNewOneIsWhole() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        let (old, new) = (sampleContents(seed: 1), sampleContents(seed: 2))
        try writeSnapshot(old, to: path)
        try writeSnapshot(new, to: path, finishing: false)
        #expect(try SnapshotReader.read(path: path) == old)
        let partial = try SnapshotReader.read(path: path + ".partial")
        #expect(partial.isPartial)
        #expect(partial.warnings == ["the snapshot was not finished; no stage is missing"])
        #expect(isPart(partial, of: new))
        let abandoned = try SnapshotWriter(path: path)
        try abandoned.write(process: new.process)
        abandoned.abandon()
        #expect(access(path + ".partial", F_OK) != 0)
        #expect(try SnapshotReader.read(path: path) == old)
        try writeSnapshot(new, to: path)
        #expect(try SnapshotReader.read(path: path) == new)
    }
}
