import Glibc
import HeapProfile
import Snapshot
import TestSupport
import Testing

/// Files that are no snapshots, and folders that take none.
@Suite struct BadPlaceTests {
    @Test func aDeviceOrAFIFOIsNotReplaced() {
        let folder = TemporaryFolder()
        #expect(mkfifo(folder.file("fifo.heaptide"), 0o600) == 0)
        #expect(throws: SnapshotError.self) { try SnapshotWriter(path: folder.file("fifo.heaptide")) }
        var status = stat()
        #expect(stat(folder.file("fifo.heaptide"), &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
    }

    private func refusal(reading path: String) -> SnapshotError? {
        do throws(SnapshotError) {
            _ = try SnapshotReader.read(path: path)
            return nil
        } catch {
            return error
        }
    }

    private func refusal(writing path: String) -> SnapshotError? {
        do throws(SnapshotError) {
            try SnapshotWriter(path: path).abandon()
            return nil
        } catch {
            return error
        }
    }

    @Test func whatIsNoSnapshotIsNamed() throws {
        let folder = TemporaryFolder()
        write(Array("just a text".utf8), to: folder.file("text"))
        write([], to: folder.file("empty"))
        write([UInt8](repeating: 7, count: 50_000), to: folder.file("noise"))
        #expect(refusal(reading: folder.file("missing"))?.code == .unreachable)
        for name in ["text", "empty", "noise", "."] {
            let error = try #require(refusal(reading: folder.file(name)))
            #expect(error.code == .notASnapshot)
            #expect(isOneLine(error.description))
            #expect(!SnapshotReader.isSnapshot(path: folder.file(name)))
        }
        #expect(
            refusal(reading: folder.file("two\nlines"))?.description.contains("two?lines: there is no such") == true)
    }

    @Test func otherDatabasesAndVersionsAreNamed() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(), to: path)
        let sound = contents(of: path)
        var foreign = sound
        foreign.replaceSubrange(68..<72, with: [0, 0, 0, 0])  // the application id
        write(foreign, to: path)
        #expect(refusal(reading: path)?.code == .notASnapshot)
        #expect(!SnapshotReader.isSnapshot(path: path))
        var older = sound
        older.replaceSubrange(60..<64, with: [0, 0, 0, 1])  // the user version
        write(older, to: path)
        #expect(refusal(reading: path)?.code == .notASnapshot)
        var newer = sound
        newer.replaceSubrange(60..<64, with: [0, 0, 0, 99])
        write(newer, to: path)
        #expect(refusal(reading: path)?.code == .newer)
        #expect(SnapshotReader.isSnapshot(path: path))
        #expect(throws: SnapshotError.self) { try SnapshotReader.addSymbols(SymbolTable(), to: path) }
        #expect(contents(of: path) == newer)
    }

    /// Fewer than none, and times that run backwards.
    @Test(arguments: [("131.0", "-31.0"), ("1700000005.25", "1600000005.25")])
    func countsThatNoWriterWritesAreLost(written: String, odd: String) throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(sites: 1, samples: 1), to: path)
        var bytes = contents(of: path)
        let place = try #require(bytes.firstRange(of: Array(written.utf8)))
        bytes.replaceSubrange(place, with: Array(odd.utf8))
        write(bytes, to: path)
        let read = try SnapshotReader.read(path: path)
        #expect(read.isPartial && read.counts.isEmpty)
        #expect(read.warnings.contains { $0.contains("the memory history") }, "\(read.warnings)")
    }

    /// A view in a table's place could run for ever, and a trigger could change what it likes.
    @Test func aForeignSchemaIsRefused() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(sites: 1, samples: 1), to: path)
        var bytes = contents(of: path)
        let place = try #require(bytes.firstRange(of: Array("birth REAL".utf8)))
        bytes.replaceSubrange(place, with: Array("birth BLOB".utf8))
        write(bytes, to: path)
        #expect(refusal(reading: path)?.code == .damaged)
    }

    @Test func placesThatTakeNoFileAreNamed() throws {
        let folder = TemporaryFolder()
        write([1], to: folder.file("file"))
        for path in [folder.file("none/a.heaptide"), folder.file("file/a.heaptide"), folder.path] {
            let error = try #require(refusal(writing: path))
            #expect(error.code == .unreachable)
            #expect(isOneLine(error.description))
        }
        #expect(contents(of: folder.file("file")) == [1])
    }

    /// Someone else's link in a shared folder is not followed.
    @Test func linksInTheWayAreNotFollowed() throws {
        let folder = TemporaryFolder()
        write([1, 2, 3], to: folder.file("precious"))
        #expect(symlink(folder.file("precious"), folder.file("a.heaptide.partial")) == 0)
        try writeSnapshot(sampleContents(sites: 1, samples: 1), to: folder.file("a.heaptide"))
        #expect(contents(of: folder.file("precious")) == [1, 2, 3])
    }

    @Test(.enabled(if: Mount.isPossible, "needs the right to mount a small tmpfs"))
    func aReadOnlyFolderIsNamed() throws {
        let mount = try Mount(size: "1m")
        let path = mount.file("a.heaptide")
        let contents = sampleContents()
        try writeSnapshot(contents, to: path)
        try mount.makeReadOnly()
        let error = try #require(refusal(writing: mount.file("b.heaptide")))
        #expect(error.code == .unreachable)
        #expect(error.description.contains("read-only"))
        #expect(throws: SnapshotError.self) { try SnapshotReader.addSymbols(contents.symbols, to: path) }
        #expect(try SnapshotReader.read(path: path) == contents)
    }

    /// Whatever the disk has room for: a clear error, the older snapshot and the committed stages stay.
    @Test(
        .enabled(if: Mount.isPossible, "needs the right to mount a small tmpfs"),
        arguments: [4, 20, 48, 64, 128, 256, 400])
    func aFullDiskLosesNothing(kilobytes: Int) throws {
        let old = sampleContents(sites: 2, samples: 2, seed: 3)
        let new = sampleContents(sites: 200, samples: 5000)
        let mount = try Mount(size: "4m")
        let path = mount.file("a.heaptide")
        try writeSnapshot(old, to: path)
        try mount.resize(toUsedPlus: kilobytes)
        let refused = #expect(throws: SnapshotError.self) { try writeSnapshot(new, to: path) }
        #expect(refused?.code == .full)
        #expect(isOneLine(refused?.description ?? ""))
        #expect(try SnapshotReader.read(path: path) == old)
        if let partial = try? SnapshotReader.read(path: path + ".partial") {
            #expect(partial.isPartial)
            #expect(isPart(partial, of: new))
        } else {
            #expect(kilobytes < 128)  // there was no room for even the first stage
        }
    }
}

/// A small file system in memory of a test's own.
private final class Mount: Sendable {
    private let folder = TemporaryFolder()

    static let isPossible: Bool = (try? Mount(size: "64k")) != nil

    struct Refused: Error { var code: Int32 }

    init(size: String) throws {
        guard mount("tmpfs", folder.path, "tmpfs", 0, "size=\(size)") == 0 else { throw Refused(code: errno) }
    }

    deinit { umount2(folder.path, Int32(MNT_DETACH)) }

    func file(_ name: String) -> String { folder.file(name) }

    func makeReadOnly() throws { try remount(UInt(MS_RDONLY), nil) }

    func resize(toUsedPlus kilobytes: Int) throws {
        var status = statvfs()
        guard statvfs(folder.path, &status) == 0 else { throw Refused(code: errno) }
        let used = Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize) / 1024
        try remount(0, "size=\(used + kilobytes)k")
    }

    private func remount(_ flags: UInt, _ options: String?) throws {
        guard mount("tmpfs", folder.path, "tmpfs", flags | UInt(MS_REMOUNT), options) == 0
        else { throw Refused(code: errno) }
    }
}
