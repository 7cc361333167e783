import HeapLedger
import HeapProfile
import HeapRecorder
import TestSupport
import Testing

extension RecorderTests {
    /// Estimates against what was allocated, through the sampling itself, with fake pointers and fixed seeds.
    @Suite struct Truth {
        /// Allocates as the probe's hot path does.
        private func allocate(_ address: UInt, _ size: Int, from caller: UInt64 = 0x4242) {
            guard !hr_skip(size) else { return }
            var record = hr_caller(bp: 0, ip: caller)
            hr_allocated(UnsafeMutableRawPointer(bitPattern: address), size, &record)
        }

        private func free(_ address: UInt) {
            guard hr_maybe_sampled(UnsafeRawPointer(bitPattern: address)) else { return }
            var taken = hr_take(UnsafeRawPointer(bitPattern: address))
            hr_freed(&taken)
        }

        /// So that what is drawn depends on the seeds alone, and not on how fast the machine is: `n` of these calls are as
        /// many seconds of a clock that is ahead of the real one.
        private func letASecondPass(_ n: Int) { hr_pace(1 << 60 + UInt64(n) * 1_000_000_000, 0) }

        /// The 95% intervals hold the truth in 95% of 1,000 runs: of live bytes, and of all that was allocated. With an
        /// interval of 1 MiB most gaps are longer than what is counted down, and so are some blocks.
        @Test(arguments: [1, 64]) func intervalsCoverTheTruth(scale: Int) throws {
            let runs = 1000
            var liveCovered = 0
            var allocatedCovered = 0
            for seed in 1...runs {
                let recording = Recording(interval: UInt64(16_384 * scale), seed: UInt64(seed))
                var random = SplitMix64(seed: UInt64(seed) &* 7919)
                var live = 0.0
                var allocated = 0.0
                for i in 0..<8000 {
                    let size = scale * (Int(random.next() % 16) < 15 ? 16 + Int(random.next() % 500) : 20_000)
                    let address = UInt(0x10_0000 + i * 32_768)
                    allocate(address, size)
                    allocated += Double(size)
                    if i % 2 == 0 { free(address) } else { live += Double(size) }
                }
                let profile = try recording.profile()
                let estimate = profile.sites.reduce(Estimate()) { $0.adding($1.live) }
                let all = profile.sites.reduce(Estimate()) { $0.adding($1.allocated) }
                if abs(estimate.bytes - live) <= 1.96 * estimate.error { liveCovered += 1 }
                if abs(all.bytes - allocated) <= 1.96 * all.error { allocatedCovered += 1 }
            }
            #expect((930...970).contains(liveCovered))
            #expect((930...970).contains(allocatedCovered))
        }

        /// A site's error is the one that it states: 3.2% at 1,000 samples.
        @Test func sitesAreKnownWithinTheirError() throws {
            let recording = Recording(interval: 16_384, ledgerSize: 8 << 20, seed: 11)
            let blocks = 256_000
            for site in 0..<20 {
                for i in 0..<blocks {
                    allocate(UInt(site + 1) << 32 | UInt(i) << 6, 64, from: UInt64(site + 1))
                    if i % 2048 == 2047 { letASecondPass(site * 200 + i / 2048) }
                }
            }
            let profile = try recording.profile()
            #expect(profile.sampling.paced == 0)
            let sites = profile.sites.map(\.allocated).filter { $0.samples > 0 }
            #expect(sites.count == 20)
            let truth = Double(blocks * 64)
            for site in sites {
                #expect(site.samples > 900 && site.error < 0.035 * site.bytes)
                #expect(abs(site.bytes - truth) < 3 * 0.032 * truth)
            }
            let meanSquare =
                sites.reduce(0) { $0 + (($1.bytes - truth) / $1.error) * (($1.bytes - truth) / $1.error) } / 20
            #expect((0.5...1.7).contains(meanSquare))  // 95% of 20 normal deviates: 0.48 to 1.71 (chi-squared)
        }

        /// 50 million blocks of 64 bytes that all live: the table stays bounded, the estimate right, the rest counted.
        @Test func fiftyMillionLiveBlocks() throws {
            let recording = Recording(interval: 16_384, ledgerSize: 4 << 20, seed: 5)
            let blocks = 50_000_000
            for i in 0..<blocks {
                allocate(0x1000_0000 + UInt(i) * 80, 64)
                if i % 2048 == 2047 { letASecondPass(i / 2048) }
            }
            let profile = try recording.profile()
            let live = profile.sites.reduce(Estimate()) { $0.adding($1.live) }
            #expect(abs(live.bytes - Double(blocks * 64)) < 4 * live.error)
            #expect(live.error < 0.012 * live.bytes)
            #expect(profile.sampling.thinnings > 0 && profile.sampling.paced == 0)
            #expect(profile.sampling.samplesTaken == UInt64(profile.samples.count) + profile.sampling.samplesThinned)
        }

        @Test func aHundredThousandStacks() throws {
            let recording = Recording(ledgerSize: 4 << 20)
            let stacks = 100_000
            for i in 0..<stacks {
                recording.record(
                    0x10_0000 + UInt(i) * 64, size: 10, stack: (0..<12).map { UInt64(i * 13 + $0 + 1) })
            }
            let profile = try recording.profile()
            #expect(profile.sites.map(\.allocated.count).reduce(0, +) == Double(stacks))
            #expect(profile.sampling.stacksLost > 0)
            let live = profile.sites.reduce(Estimate()) { $0.adding($1.live) }
            #expect(abs(live.count - Double(stacks)) < 4 * live.error / 10)
        }
    }
}

extension Estimate {
    fileprivate func adding(_ other: Estimate) -> Estimate {
        Estimate(
            bytes: bytes + other.bytes, count: count + other.count, samples: samples + other.samples,
            variance: variance + other.variance)
    }
}
