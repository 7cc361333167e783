import CHeapLedger
import HeapLedger
import HeapProfile
import TestSupport
import Testing

@Suite struct LedgerFileTests {
    @Test func aSoundLedgerIsReadWhole() throws {
        let profile = try profile(of: sampleLedger().bytes())
        #expect(profile.warnings == [])
        #expect(brokenPromises(of: profile) == [])
        #expect(profile.duration == 8)
        #expect(profile.modules.map(\.path) == ["/usr/bin/service", "/usr/lib/libcache.so.1"])
        #expect(profile.modules.map(\.buildID) == ["abcd", "12"])
        #expect(profile.sites.count == 4)  // and the one for lost stacks
        let leak = try #require(profile.sites.last)
        #expect(leak.isCut)
        #expect(leak.stack == [CodeAddress(module: 0, offset: 0x505), CodeAddress(module: 0, offset: 0x606)])
        #expect(leak.live.count == 30 * 468)
        #expect(leak.live.bytes == 30 * 468 * 140)
        #expect(leak.live.samples == 30)
        #expect(leak.allocated.bytes == leak.live.bytes)
        let cache = profile.sites[2]
        #expect(cache.stack.first == CodeAddress(module: 1, offset: 0x1_0040))
        #expect(cache.live.bytes == 0)
        #expect(cache.freed.count == 40 * 128)
        #expect(cache.lifetimes[6] == 40)  // 50 ms lies between 2^25 and 2^26 ns
        #expect(profile.samples.count == 40)
        #expect(Set(profile.samples.map(\.thread)) == [0, 1, 2])
    }

    @Test func theProcessIsIdentified() throws {
        var builder = sampleLedger()
        builder.header.state = UInt32(HL_STATE_EXITED)
        builder.header.samples_dropped = 7
        builder.header.slow_path_ns = 1_500_000_000
        let folder = TemporaryFolder()
        write(builder.bytes(), to: folder.file("a.ledger"))
        let ledger = try LedgerFile(path: folder.file("a.ledger"))
        #expect(ledger.identity().pid == 4242)
        #expect(ledger.identity().startTicks == 777)
        #expect(ledger.identity().bootID == "000102030405060708090a0b0c0d0e0f")
        #expect(ledger.identity().startTime == 1_700_000_000)
        #expect(ledger.identity().startMonotonic == 5_000_000_000)
        #expect(ledger.identity().exited)
        #expect(ledger.sampling().samplesDropped == 7)
        #expect(ledger.sampling().slowPathSeconds == 1.5)
        #expect(ledger.sampling().firstInterval == 65536)
        #expect(ledger.sampling().hasUnwinder)
    }

    @Test func totalsAreTheSumOfTheSites() throws {
        let folder = TemporaryFolder()
        write(sampleLedger().bytes(), to: folder.file("a.ledger"))
        let ledger = try LedgerFile(path: folder.file("a.ledger"))
        let totals = ledger.totals()
        let sites = ledger.profile().sites
        #expect(totals.allocated.bytes == sites.map(\.allocated.bytes).reduce(0, +))
        #expect(totals.freed.count == sites.map(\.freed.count).reduce(0, +))
        #expect(totals.live.bytes == sites.map(\.live.bytes).reduce(0, +))
        #expect(totals.live.samples == 40)
    }

    @Test func samplesWeighMoreWithEachThinning() throws {
        var builder = LedgerBuilder(interval: 1024)
        builder.header.thinnings = 3
        let site = builder.site([0x1234])
        builder.live(site, size: 100, at: 1, weight: 2, thinning: 0)
        builder.live(site, size: 100, at: 2, weight: 2, thinning: 3)
        let profile = try profile(of: builder.bytes())
        #expect(profile.samples.map(\.weight) == [16, 2])
        #expect(profile.sites[1].live.bytes == 1800)
        #expect(profile.sampling.thinnings == 3)
    }

    @Test func equalStacksAreOneSite() throws {
        var builder = LedgerBuilder(duration: 1)
        builder.module("/bin/a", at: 0x1000, size: 0x1000)
        let first = builder.site([0x1010], history: [100, 100, 100, 100])
        let raced = builder.site([0x1010], history: [1, 1, 1, 1])
        let later = builder.site([0x1010], generation: 5, history: [10, 10, 10, 10])
        let cut = builder.site([0x1010], isCut: true)
        for site in [first, raced, later, cut] { builder.live(site, size: 64, at: 0.5) }
        // Bare addresses of two generations may be two different functions.
        for generation in [0, 1] as [UInt64] {
            builder.live(builder.site([0x9999], generation: generation), size: 64, at: 0.5)
        }
        let profile = try profile(of: builder.bytes())
        #expect(profile.sites.map(\.live.count) == [0, 3, 1, 1, 1])
        #expect(profile.sites[1].history == [111, 111, 111, 111])
        #expect(profile.sites[1].allocated.samples == 3)
        #expect(brokenPromises(of: profile) == [])
    }

    @Test func modulesCountForTheirGenerationsOnly() throws {
        var builder = LedgerBuilder()
        builder.module("/lib/old.so", at: 0x1000, size: 0x1000, generations: 0..<1)
        builder.module("/lib/new.so", at: 0x1000, size: 0x2000, generations: 1..<UInt64.max)
        builder.module("/lib/old.so", at: 0x8000, size: 0x1000, generations: 1..<UInt64.max)
        builder.site([0x1800], generation: 0)
        builder.site([0x1800], generation: 1)
        builder.site([0x8010], generation: 1)
        builder.site([0x2000], generation: 0)  // returns to the very end of its module: the call lies inside
        builder.site([0x1000], generation: 0)  // the call would lie before the module
        let profile = try profile(of: builder.bytes())
        #expect(profile.modules.map(\.path) == ["/lib/old.so", "/lib/new.so"])
        #expect(
            profile.sites.dropFirst().map { $0.stack[0] } == [
                CodeAddress(module: 0, offset: 0x800), CodeAddress(module: 1, offset: 0x800),
                CodeAddress(module: 0, offset: 0x10), CodeAddress(module: 0, offset: 0x1000),
                CodeAddress(module: -1, offset: 0x1000),
            ])
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func addressesResolveAsByBruteForce(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var builder = LedgerBuilder()
        for index in 0..<30 {
            let born = UInt64.random(in: 0..<4, using: &random)
            builder.module(
                "/m\(index)", at: UInt64.random(in: 0..<400, using: &random) * 16,
                size: UInt64.random(in: 1..<20, using: &random) * 16, bias: 0x10,
                generations: born..<(born + UInt64.random(in: 1..<3, using: &random)))
        }
        for _ in 0..<200 {
            builder.site(
                [UInt64.random(in: 1..<7000, using: &random)], generation: UInt64.random(in: 0..<5, using: &random))
        }
        let profile = try profile(of: builder.bytes())
        var expected: [Set<Int32>] = []
        var addresses: [UInt64] = []
        for site in builder.sites.dropFirst() {
            let address = builder.frames[Int(site.frames_index)]
            let holders = builder.modules.indices.filter {
                let module = builder.modules[$0]
                return module.start <= address - 1 && address - 1 < module.end
                    && (module.loaded_at..<module.unloaded_at).contains(site.generation)
            }
            expected.append(holders.isEmpty ? [-1] : Set(holders.map(Int32.init)))
            addresses.append(address)
        }
        // Sites of one stack were merged, so each expectation must be met by some site and each site by one of them.
        let found = Set(profile.sites.dropFirst().compactMap(\.stack.first))
        for (holders, address) in zip(expected, addresses) {
            #expect(
                holders.contains { found.contains(CodeAddress(module: $0, offset: $0 < 0 ? address : address - 16)) })
        }
        for code in found {
            let address = code.module < 0 ? code.offset : code.offset + 16
            #expect(zip(expected, addresses).contains { $0.contains(code.module) && $1 == address })
        }
    }
}

@Suite struct SiteHistoryTests {
    @Test func missingCheckpointsStandAtTheLiveBytesOfNow() throws {
        var builder = LedgerBuilder(duration: 2)
        let site = builder.site([0x1], history: [500, 800])
        builder.live(site, size: 800, at: 0.4)
        let history = try profile(of: builder.bytes()).sites[1].history
        #expect(history == [500, 800, 800, 800, 800, 800, 800, 800])
    }

    @Test func historiesOfOneProfileAreOnOneGrid() throws {
        var builder = LedgerBuilder(duration: 16)  // 32 steps of 0.5 s
        builder.site([0x1], history: (1...32).map(Float.init), period: 250_000_000)
        builder.site([0x2], history: (1...16).map(Float.init))
        let sites = try profile(of: builder.bytes()).sites.dropFirst()
        #expect(sites.allSatisfy { $0.historyPeriod == 0.5 && $0.history.count == 32 })
        #expect(sites.first?.history.prefix(16) == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32])
        #expect(sites.last?.history.prefix(16) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
    }

    @Test func aProcessThatFellSilentKeepsWithin32Checkpoints() throws {
        var builder = LedgerBuilder(duration: 8)
        let site = builder.site([0x1], history: (1...32).map(Float.init))
        builder.live(site, size: 32, at: 8)
        let now = builder.header.start_monotonic_ns + 33_000_000_000
        let profile = try profile(of: builder.bytes(), at: now)
        #expect(profile.duration == 33)
        #expect(profile.sites[1].historyPeriod == 2)
        #expect(profile.sites[1].history.count == 16)
        #expect(profile.sites[1].history.prefix(5) == [8, 16, 24, 32, 32])
    }

    @Test func aHistoryKilledInTheMiddleIsGivenUp() throws {
        var builder = LedgerBuilder(duration: 2)
        let site = builder.site([0x1], history: [1, 2, 3])
        builder.sites[site].history_lock = 1
        let other = builder.site([0x2], history: [1, 2, .nan])
        let coarser = builder.site([0x3], history: [1], period: 500_000_000)
        let odd = builder.site([0x4], history: [1], period: 300_000_000)
        let sites = try profile(of: builder.bytes()).sites
        for index in [site, other, coarser, odd] { #expect(sites[index].history == []) }
    }
}
