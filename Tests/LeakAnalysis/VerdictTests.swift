import Foundation
import HeapProfile
import TestSupport
import Testing
import TimeSeries

@testable import LeakAnalysis

@Suite struct VerdictTests {
    private let service = SimulatedService(.pureLeak, seed: 7, duration: 120)

    private func memory(from base: Double, perSecond: Double, for seconds: Int) -> [Point] {
        var random = SplitMix64(seed: 3)
        return (0..<seconds).map { second in
            Point(
                time: Double(second), value: base + perSecond * Double(second) + .random(in: 0...2e5, using: &random))
        }
    }

    @Test func profileAloneIsEnough() {
        let report = analyze(
            LeakInput(profile: service.profile, symbols: service.symbols, usageBytes: 500e6, limitBytes: 1e9))
        #expect(report.verdict.class == .leak)
        #expect(report.growth.source == .heap)
        #expect(abs(report.growth.bytesPerSecond / service.trueRate - 1) < 0.1)
        #expect(report.growth.low < report.growth.bytesPerSecond)
        #expect(report.growth.bytesPerSecond < report.growth.high)
        let seconds = report.timeToLimitSeconds ?? 0
        #expect(abs(seconds * service.trueRate / 500e6 - 1) < 0.15)
        #expect(report.verdict.summary.contains("UserActivityTracker::record"))
        #expect(report.verdict.summary.contains("limit is reached in"))
        #expect(!report.verdict.summary.contains("\n"))
    }

    /// As after `heaptide probe PID --interval 10GiB`: what grows since has left no sample.
    @Test func anIntervalOfMoreThanAllThatLivesIsTooLittle() {
        let healthy = SimulatedService(.healthy, seed: 7, duration: 120)
        #expect(analyze(LeakInput(profile: healthy.profile, symbols: healthy.symbols)).verdict.class == .stable)
        var profile = healthy.profile
        profile.sampling.interval = 10 << 30
        let report = analyze(LeakInput(profile: profile, symbols: healthy.symbols))
        #expect(report.verdict.class == .unknown)
        #expect(report.verdict.summary.contains("one sample in 10 GiB"))
        #expect(report.growth.high >= 3 * 10 * 1_073_741_824 / 120)
    }

    @Test func historyAloneIsEnough() {
        let memory = memory(from: 100e6, perSecond: 1e6, for: 300)
        let report = analyze(LeakInput(profile: nil, memory: memory, limitBytes: 1e9))
        #expect(report.verdict.class == .growth)
        #expect(report.growth.source == .memory)
        #expect(abs(report.growth.bytesPerSecond / 1e6 - 1) < 0.05)
        #expect(abs((report.timeToLimitSeconds ?? 0) / 600 - 1) < 0.1)
        #expect(report.suspects.isEmpty)
        #expect(report.process.observedSeconds == 299)
    }

    @Test func bothAgree() throws {
        let memory = memory(from: 200e6, perSecond: service.trueRate, for: 120)
        let alone = analyze(LeakInput(profile: service.profile, symbols: service.symbols))
        let both = analyze(LeakInput(profile: service.profile, symbols: service.symbols, memory: memory))
        #expect(both.growth.source == .memory)
        let evidence = try #require(both.suspects.first?.evidence)
        #expect(evidence.contains { $0.kind == .baseline && $0.weight > 0 })
        #expect(alone.suspects.first?.evidence.contains { $0.kind == .baseline } == false)
    }

    @Test func flatMemorySpeaksAgainstALeak() throws {
        let memory = memory(from: 200e6, perSecond: 0, for: 120)
        let report = analyze(LeakInput(profile: service.profile, symbols: service.symbols, memory: memory))
        let baseline = try #require(report.suspects.first?.evidence.first { $0.kind == .baseline })
        #expect(baseline.weight < 0)
    }

    @Test func growthThatNoSiteExplains() {
        let healthy = SimulatedService(.healthy, seed: 7, duration: 120)
        let memory = memory(from: 200e6, perSecond: 1e6, for: 120)
        let report = analyze(LeakInput(profile: healthy.profile, symbols: healthy.symbols, memory: memory))
        #expect(report.verdict.class == .growth)
        #expect(report.verdict.summary.contains("thread stacks"))
        #expect(report.suspects.allSatisfy { $0.confidenceLabel == .low })
    }

    /// A program frees its heap as it ends: what is left then says nothing of its growth.
    @Test func growthOfAProgramThatEnded() {
        var profile = SimulatedService(.healthy, seed: 7, duration: 120).profile
        profile.process.exited = true
        let report = analyze(LeakInput(profile: profile, memory: memory(from: 200e6, perSecond: 1e6, for: 120)))
        #expect(report.verdict.summary.contains("a snapshot taken while it runs"))
    }

    /// Destructors freed it all: that nothing lives is no sign of health.
    @Test func aProgramThatFreedAllAsItEnded() {
        var profile = SimulatedService(.healthy, seed: 7, duration: 120).profile
        profile.process.exited = true
        profile.samples = []
        let flat = memory(from: 200e6, perSecond: 0, for: 120)
        let settling = flat.map { Point(time: $0.time, value: $0.value - 150e6 * exp(-$0.time / 20)) }
        let reports = [settling, flat].map { analyze(LeakInput(profile: profile, memory: $0)) }
        #expect(reports.map(\.growth.pattern) == [.saturating, .flat])
        #expect(reports.map(\.verdict.class) == [.unknown, .stable])
        for report in reports { #expect(report.verdict.summary.contains("judge a snapshot taken while it runs")) }
    }

    @Test func whoStoppedWatchingSaysSo() {
        var profile = service.profile
        profile.sampling.pausedAt = 120
        #expect(analyze(LeakInput(profile: profile)).verdict.summary.contains("before the probe was paused"))
        profile.sampling.pausedAt = nil
        profile.sampling.isDetached = true
        profile.sampling.isAttached = true
        let report = analyze(LeakInput(profile: profile))
        #expect(report.verdict.summary.contains("before the probe was detached"))
        #expect(report.warnings.contains { $0.contains("recorded since the probe was attached") })
    }

    @Test func mediansAreOfBytes() throws {
        // Three of four samples are young, and stand for a quarter of the bytes.
        let births = [(10.0, Float(30)), (80.0, 3), (90.0, 3), (95.0, 4)]
        let samples = births.map { LiveSample(size: 1000, birth: $0.0, weight: $0.1, site: 0) }
        let profile = HeapProfile(
            process: ProcessIdentity(pid: 1), sampling: Sampling(firstInterval: 8192, interval: 8192), duration: 100,
            sites: [Site(stack: [CodeAddress(module: -1, offset: 16)], live: Estimate(bytes: 40_000, count: 40))],
            samples: ContiguousArray(samples))
        let group = try #require(
            SiteGroup.groups(of: profile, symbols: SymbolTable(), showsFoldedFrames: false).first)
        #expect(Ages(of: group, duration: 100).median == 90)
    }

    @Test func limitCountsWhatTheHistoryLeavesOut() throws {
        let memory = memory(from: 0, perSecond: 1e6, for: 301)
        let report = analyze(LeakInput(profile: nil, memory: memory, usageBytes: 800e6, limitBytes: 1e9))
        let seconds = try #require(report.timeToLimitSeconds)
        #expect(abs(seconds / 200 - 1) < 0.1)
    }

    @Test func nothingIsUnknown() {
        #expect(analyze(LeakInput(profile: nil)).verdict.class == .unknown)
        let young = SimulatedService(.pureLeak, seed: 1, duration: 4)
        #expect(analyze(LeakInput(profile: young.profile, symbols: young.symbols)).verdict.class != .leak)
    }

    @Test func aCacheThatStillFillsIsMediumAtMost() {
        var heap = HeapSimulator(seed: 1, duration: 45)
        let cache = heap.addSite(["malloc", "Cache::put()", "main"])
        heap.stream(cache, rate: 3e6, size: 500)
        let (profile, symbols) = heap.finish()
        let suspect = analyze(LeakInput(profile: profile, symbols: symbols)).suspects.first
        #expect(suspect?.confidenceLabel == .medium)
        #expect(suspect?.evidence.contains { $0.kind == .observation } == true)
    }

    @Test func aBacklogIsLow() {
        // What came in the first 75 of 120 s has been served by the end: the queue grows, but all of it is passing.
        var heap = HeapSimulator(seed: 1, duration: 120)
        let queue = heap.addSite(["malloc", "Queue::push()", "main"])
        heap.stream(queue, rate: 3e6, size: 500) { birth, _ in birth * 0.6 }
        let (profile, symbols) = heap.finish()
        let report = analyze(LeakInput(profile: profile, symbols: symbols))
        #expect(report.suspects.allSatisfy { $0.confidenceLabel == .low })
        #expect(report.verdict.class == .growth)
    }

    @Test func healthyMemoryIsExplained() {
        let report = analyze(LeakInput(profile: service.profile, symbols: service.symbols))
        let behaviours = Dictionary(
            report.healthy.map { ($0.function, $0.behaviour) }, uniquingKeysWith: { first, _ in first })
        #expect(behaviours["ProductCatalogue::load()"] == .startUp)
        #expect(behaviours["SessionCache::use(unsigned int)"] == .turnover)
    }

    @Test func whatWasLostIsSaid() {
        var profile = service.profile
        profile.warnings = ["a record was damaged"]
        profile.sampling.samplesDropped = 3
        profile.sampling.stacksCut = 1
        profile.sampling.hasUnwinder = false
        let warnings = analyze(LeakInput(profile: profile)).warnings
        #expect(warnings.count == 4)
        #expect(warnings.first == "a record was damaged")
    }
}
