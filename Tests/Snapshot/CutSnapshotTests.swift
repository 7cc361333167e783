import Glibc
import HeapProfile
import Snapshot
import TestSupport
import Testing

/// Snapshots that were cut, killed in the making, or damaged.
@Suite struct CutSnapshotTests {
    private func read(_ path: String) -> Result<SnapshotContents, SnapshotError> {
        do throws(SnapshotError) {
            return .success(try SnapshotReader.read(path: path))
        } catch {
            return .failure(error)
        }
    }

    /// The bar, and every other place that could matter: page boundaries, one byte off, within a page.
    @Test func aCutSnapshotGivesItsCommittedStagesOrSaysThatItWasCut() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        let whole = sampleContents(sites: 100, samples: 3000)
        try writeSnapshot(whole, to: path)
        let bytes = contents(of: path)
        var opened: [Int] = []
        var warnings: Set<String> = []
        var places = Set((0..<20).map { bytes.count * $0 / 20 })
        places.formUnion(stride(from: 0, to: bytes.count, by: 5003))
        places.formUnion(stride(from: 4096, to: bytes.count, by: 5 * 4096))
        for place in places.sorted() {
            write(Array(bytes[..<place]), to: path)
            switch read(path) {
            case .success(let contents):
                opened.append(place)
                warnings.formUnion(contents.warnings.map { String($0.split(separator: ":").last ?? "") })
                #expect(contents.isPartial)
                #expect(isSound(contents))
                #expect(isPart(contents, of: whole))
            case .failure(let error):
                #expect(isOneLine(error.description))
                #expect(place < 100 ? error.code == .notASnapshot : error.code == .cut, "\(place): \(error)")
                #expect(opened.isEmpty)  // whatever a short file holds, a longer one holds as well
            }
            #expect(contents(of: path).count == place)  // reading never writes
        }
        #expect((opened.first ?? .max) < 100_000)  // a page for each table, and one stage
        #expect(
            warnings == [
                " the allocation sites, the live samples, the memory history, the symbols, who holds the heap",
                " the live samples, the memory history, the symbols, who holds the heap",
                " the memory history, the symbols, who holds the heap", " the symbols, who holds the heap",
            ])
    }

    /// A writer killed between two stages leaves all that it had committed.
    @Test func anUnfinishedSnapshotGivesItsStages() throws {
        let folder = TemporaryFolder()
        let whole = sampleContents()
        let writer = try SnapshotWriter(path: folder.file("a.heaptide"))
        #expect(throws: SnapshotError.self) { try SnapshotReader.read(path: writer.partialPath) }
        try writer.write(process: whole.process)
        #expect(try isPart(SnapshotReader.read(path: writer.partialPath), of: whole))
        try writer.write(profile: #require(whole.profile))
        let partial = try SnapshotReader.read(path: writer.partialPath)
        #expect(partial.warnings == ["the snapshot was not finished; missing: the memory history, the symbols"])
        #expect(isPart(partial, of: whole))
    }

    /// A writer killed within a stage: some of the stage's pages are in the file, and the journal of the others.
    @Test func aStageThatWasHalfWrittenIsRolledBack() throws {
        let folder = TemporaryFolder()
        let whole = sampleContents()
        let writer = try SnapshotWriter(path: folder.file("a.heaptide"))
        try writer.write(process: whole.process)
        let before = contents(of: writer.partialPath)
        try writer.write(profile: #require(whole.profile))
        let after = contents(of: writer.partialPath)
        let path = folder.file("killed.heaptide.partial")
        for written in stride(from: 1, through: after.count / 4096, by: 3) {
            let pages = after[..<(written * 4096)]
            write(Array(pages) + before.dropFirst(pages.count), to: path)
            write(journal(of: before), to: path + "-journal")
            let contents = try SnapshotReader.read(path: path)
            #expect(contents.process == whole.process)
            #expect(contents.profile == nil)
            #expect(contents.warnings.first?.hasPrefix("the snapshot was not finished; missing:") == true)
            #expect(access(path + "-journal", F_OK) != 0)
        }
    }

    /// A rollback journal that holds every page of `database` (sqlite.org/fileformat2.html, section 3).
    private func journal(of database: [UInt8]) -> [UInt8] {
        func bigEndian(_ value: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) } }
        let count = database.count / 4096
        var journal: [UInt8] = [0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7]
        journal += [count, 0, count, 512, 4096].flatMap(bigEndian)
        journal += [UInt8](repeating: 0, count: 512 - journal.count)
        for index in 0..<count {
            let page = Array(database[(index * 4096)..<((index + 1) * 4096)])
            let sum = stride(from: 4096 - 200, to: 0, by: -200).reduce(0) { $0 + Int(page[$1]) }
            journal += bigEndian(index + 1) + page + bigEndian(sum)
        }
        return journal
    }

    @Test(arguments: 0..<4 as Range<UInt64>) func randomDamageNeverCrashes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(sites: 20, samples: 100), to: path)
        let sound = contents(of: path)
        var whole = 0
        for _ in 0..<250 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...16, using: &random) {
                // Half of the flips into the header, the schema and the first tables.
                let end = Bool.random(using: &random) ? 16384 : bytes.count
                bytes[Int.random(in: 0..<end, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            write(bytes, to: path)
            switch read(path) {
            case .success(let contents):
                #expect(isSound(contents))
                whole += contents.isPartial ? 0 : 1
            case .failure(let error): #expect(isOneLine(error.description))
            }
        }
        #expect((1..<250).contains(whole))
        #expect(access(path + "-journal", F_OK) != 0)
    }

    @Test func aDamagedSnapshotIsNotAddedTo() throws {
        let folder = TemporaryFolder()
        let path = folder.file("a.heaptide")
        try writeSnapshot(sampleContents(), to: path)
        let cut = Array(contents(of: path).dropLast(8192))
        write(cut, to: path)
        #expect(throws: SnapshotError.self) { try SnapshotReader.addSymbols(SymbolTable(), to: path) }
        #expect(contents(of: path) == cut)
    }
}
