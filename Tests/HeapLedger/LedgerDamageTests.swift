import CHeapLedger
import Glibc
import HeapLedger
import HeapProfile
import TestSupport
import Testing

@Suite struct LedgerDamageTests {
    private func error(of bytes: [UInt8]) throws -> HeapLedgerError? {
        let folder = TemporaryFolder()
        write(bytes, to: folder.file("1-1.ledger"))
        return error(opening: folder.file("1-1.ledger"))
    }

    private func error(opening path: String) -> HeapLedgerError? {
        do throws(HeapLedgerError) {
            _ = try LedgerFile(path: path).profile()
            return nil
        } catch {
            return error
        }
    }

    @Test func whatIsNoLedgerIsNamed() throws {
        let folder = TemporaryFolder()
        #expect(error(opening: folder.file("missing.ledger"))?.code == .unreadable)
        #expect(error(opening: folder.path)?.code == .notALedger)
        #expect(mkfifo(folder.file("fifo"), 0o600) == 0)
        #expect(error(opening: folder.file("fifo"))?.code == .notALedger)
        #expect(try error(of: [])?.code == .notALedger)
        #expect(try error(of: Array("a text file that is short".utf8))?.code == .notALedger)
        #expect(try error(of: Array(repeating: UInt8(ascii: "x"), count: 100_000))?.code == .notALedger)
        #expect(try error(of: Array(repeating: 0, count: 100_000))?.code == .notALedger)
        #expect(error(opening: folder.file("two\nlines"))?.description.contains("two?lines: cannot open") == true)
    }

    @Test func foreignLedgersAreNamed() throws {
        var builder = sampleLedger()
        builder.header.magic = builder.header.magic.byteSwapped
        #expect(try error(of: builder.bytes())?.code == .foreign)
        builder = sampleLedger()
        builder.header.layout_version = HL_LAYOUT_VERSION + 1
        let error = try #require(try error(of: builder.bytes()))
        #expect(error.code == .foreign)
        #expect(error.description.contains("layout version \(HL_LAYOUT_VERSION + 1)"))
    }

    @Test func headersThatReachOutsideTheFileAreRefused() throws {
        let sound = sampleLedger().bytes()
        let layout = MemoryLayout<hl_header>.self
        let fields = [
            layout.offset(of: \.header_size), layout.offset(of: \.file_size), layout.offset(of: \.modules_offset),
            layout.offset(of: \.modules_capacity), layout.offset(of: \.names_capacity),
            layout.offset(of: \.sites_offset), layout.offset(of: \.sites_capacity),
            layout.offset(of: \.frames_capacity), layout.offset(of: \.keys_offset),
            layout.offset(of: \.samples_offset), layout.offset(of: \.samples_capacity),
        ]
        for case let field? in fields {
            for value in [UInt64.max, 1 << 63, 1 << 61, 1 << 40, 1 << 30, 1] {
                var bytes = sound
                withUnsafeBytes(of: value) { bytes.replaceSubrange(field..<(field + 8), with: $0) }
                if let error = try error(of: bytes) {
                    #expect(error.code == .damaged)
                    #expect(isOneLine(error.description))
                } else {
                    // A table may be claimed to be smaller than it is, and the file to be larger: it may have been cut.
                    #expect(value == 1 || field == layout.offset(of: \.file_size))
                }
            }
        }
    }

    /// A cut ledger either has its stacks, and then gives them, or says that it was cut.
    @Test func ledgersCutAnywhereAreReadOrRefused() throws {
        let builder = sampleLedger()
        let sound = builder.bytes()
        let boundaries = builder.boundaries
        let frames = try #require(boundaries.first { $0.name == "keys" }?.offset)
        let places =
            [1, 7, 8, 100, 472, 4095, 4096] + boundaries.flatMap { [$0.offset - 1, $0.offset, $0.offset + 1] }
        for place in places where place < sound.count {
            let folder = TemporaryFolder()
            write(Array(sound[..<place]), to: folder.file("1-1.ledger"))
            do throws(HeapLedgerError) {
                let profile = try LedgerFile(path: folder.file("1-1.ledger")).profile()
                #expect(place > frames - 64)
                #expect(brokenPromises(of: profile) == [])
                #expect(profile.sites.count == 4)
                #expect(profile.sites[3].live.bytes == 30 * 468 * 140)
                #expect(profile.warnings.contains { $0.contains("cut") })
                #expect(profile.samples.isEmpty)
            } catch {
                #expect(place < frames)
                #expect(error.code == (place < 8 ? .notALedger : .cut))
                #expect(isOneLine(error.description))
            }
        }
        #expect(try profile(of: sound).warnings == [])
    }

    @Test func damagedRecordsAreLeftOutAndCounted() throws {
        var builder = sampleLedger()
        builder.modules[1].name_offset = 1 << 40
        builder.sites[2].frames_index = UInt64.max - 1
        builder.sites[1].alloc_bytes = UInt64.max
        builder.samples[0].sample.weight = .nan
        builder.samples[1].sample.site = UInt32.max
        builder.samples[2].sample.site = UInt32(builder.sites.count) + 1  // never published: no damage, a lost stack
        builder.samples[3].sample.thinning = 200
        builder.samples[4].sample.birth_ns = 100_000_000_000
        builder.samples[5].key = UInt64(HL_KEY_RESERVED)  // being written: no damage
        let profile = try profile(of: builder.bytes())
        #expect(brokenPromises(of: profile) == [])
        #expect(profile.samples.count == 35)
        #expect(
            profile.sites[0].live == Estimate(bytes: 65536, count: 16, samples: 1, variance: 65536 * 65536 * 15 / 16))
        #expect(profile.modules.count == 1)
        #expect(
            profile.warnings == [
                "the ledger is damaged: 1 modules left out; some addresses have no module",
                "the ledger is damaged: 1 allocation sites without counters",
                "the ledger is damaged: 1 allocation sites without their stacks",
                "the ledger is damaged: 4 live samples left out",
            ])
    }

    @Test func recordsInTheMakingAreSkipped() throws {
        var builder = sampleLedger()
        builder.sites[2].state = UInt32(HL_WRITING)
        builder.modules[1].state = UInt32(HL_WRITING)
        let profile = try profile(of: builder.bytes())
        #expect(profile.sites.count == 3)
        #expect(profile.modules.count == 1)
        #expect(profile.warnings == [])
    }

    @Test func emptyTablesAreAnEmptyProfile() throws {
        var builder = LedgerBuilder()
        builder.sites = []
        builder.spare = 0
        let profile = try profile(of: builder.bytes())
        #expect(profile.sites == [])
        #expect(profile.warnings == [])
    }

    /// The arena may be full to its last frame; stacks that found no room there are lost, not damaged.
    @Test func aFullArenaIsSound() throws {
        var builder = LedgerBuilder()
        builder.spare = 0
        builder.live(builder.site([1, 2, 3]), size: 8, at: 1)
        builder.live(builder.site([]), size: 8, at: 1)
        let profile = try profile(of: builder.bytes())
        #expect(profile.sites.map(\.stack.count) == [0, 3])
        #expect(profile.sites.map(\.live.count) == [1, 1])
        #expect(profile.warnings == [])
    }

    /// Sites that all point at the same frames must not multiply a small file into a large profile.
    @Test func stacksCannotBeMultiplied() throws {
        var builder = LedgerBuilder()
        let stack = builder.site(Array(repeating: 0x1234, count: 250))
        for index in 0..<1000 {
            let site = builder.site([])
            builder.sites[site].depth = 250
            builder.sites[site].frames_index = builder.sites[stack].frames_index
            builder.sites[site].generation = UInt64(index)
        }
        let profile = try profile(of: builder.bytes())
        #expect(profile.sites.map(\.stack.count).reduce(0, +) <= builder.frames.count + builder.spare)
    }

    /// One of the bars: 10,000 damaged ledgers.
    @Test(arguments: 0..<10 as Range<UInt64>) func aThousandRandomFlipsNeverCrash(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let builder = sampleLedger()
        let sound = builder.bytes()
        let used = MemoryLayout<hl_header>.size
        let folder = TemporaryFolder()
        let path = folder.file("1-1.ledger")
        var readable = 0
        for _ in 0..<1000 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                // Half of the flips into the header, where they do most.
                let place = Int.random(in: 0..<(Bool.random(using: &random) ? used : bytes.count), using: &random)
                bytes[place] ^= UInt8.random(in: 1...255, using: &random)
            }
            write(bytes, to: path)
            do throws(HeapLedgerError) {
                let ledger = try LedgerFile(path: path)
                let profile = ledger.profile(at: Bool.random(using: &random) ? nil : random.next())
                #expect(brokenPromises(of: profile) == [])
                #expect(ledger.totals().live.bytes.isFinite)
                readable += 1
            } catch {
                #expect(isOneLine(error.description))
            }
        }
        #expect((100..<900).contains(readable))  // the flips reach beyond the header's checks, and the checks hold
    }
}
