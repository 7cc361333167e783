import HeapProfile
import LeakAnalysis
import TestSupport
import Testing
import TimeSeries

/// Snapshots come from disks: every number in them may be anything.
@Suite struct HostileInputTests {
    private static let numbers: [Double] = [
        .nan, .infinity, -.infinity, -1, 0, 1e-300, 1e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1e18,
    ]

    @Test func anyInputGivesAFiniteReport() {
        let original = SimulatedService(.splitLeak, seed: 1, duration: 12)
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            var profile = original.profile
            for _ in 0..<Int.random(in: 1...40, using: &random) { damage(&profile, &random) }
            let memory = (0..<40).map { Point(time: number(&random) ?? Double($0), value: number(&random) ?? 1e8) }
            let report = analyze(
                LeakInput(
                    profile: profile, symbols: original.symbols, memory: memory, usageBytes: number(&random),
                    limitBytes: number(&random)))
            check(report)
        }
    }

    private func check(_ report: LeakReport) {
        let growth = report.growth
        #expect([growth.bytesPerSecond, growth.low, growth.high].allSatisfy { $0.isFinite })
        #expect(report.timeToLimitSeconds.map { $0.isFinite && $0 >= 0 } ?? true)
        #expect(report.usageBytes?.isFinite ?? true)
        #expect(report.process.observedSeconds.isFinite)
        for suspect in report.suspects {
            #expect((0...1).contains(suspect.confidence))
            #expect((0...1).contains(suspect.growthShare))
            #expect((0...1).contains(suspect.freedShare))
            let values = [
                suspect.liveBytes, suspect.liveCount, suspect.bytesPerSecond, suspect.low, suspect.high,
                suspect.averageSize, suspect.ages.youngest, suspect.ages.median, suspect.ages.oldest,
            ]
            #expect((values + suspect.ages.births).allSatisfy { $0.isFinite })
        }
    }

    private func number(_ random: inout SplitMix64) -> Double? {
        Int.random(in: 0..<4, using: &random) == 0 ? Self.numbers.randomElement(using: &random) : nil
    }

    private func damage(_ profile: inout HeapProfile, _ random: inout SplitMix64) {
        let value = Self.numbers.randomElement(using: &random) ?? 0
        let site = Int.random(in: profile.sites.indices, using: &random)
        let sample = Int.random(in: profile.samples.indices, using: &random)
        switch Int.random(in: 0..<16, using: &random) {
        case 0: profile.sites[site].allocated.bytes = value
        case 1: profile.sites[site].freed.count = value
        case 2: profile.sites[site].live.bytes = value
        case 3: profile.sites[site].live.count = value
        case 4: profile.sites[site].historyPeriod = value
        case 5: profile.sites[site].history = [Float(value), .nan, 1, -.infinity, 1e30, 2, 3, 4, 5]
        case 6: profile.sites[site].lifetimes = Array(repeating: .max, count: Int.random(in: 0...60, using: &random))
        case 7: profile.sites[site].first = value
        case 8:
            profile.sites[site].stack = [CodeAddress(module: .max, offset: .max), CodeAddress(module: -7, offset: 0)]
        case 9: profile.samples[sample].birth = value
        case 10: profile.samples[sample].weight = Float(value)
        case 11: profile.samples[sample].size = .max
        case 12: profile.samples[sample].site = [.min, .max, -1].randomElement(using: &random) ?? 0
        case 13 where Int.random(in: 0..<10, using: &random) == 0: profile.duration = value
        case 14: profile.sites[site].history = []
        default: profile.sampling.slowPathSeconds = value
        }
    }
}
