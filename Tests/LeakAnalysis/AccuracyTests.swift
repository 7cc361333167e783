import HeapProfile
import LeakAnalysis
import TestSupport
import Testing

/// What the product promises, on simulated services: a hundred seeds each.
@Suite struct AccuracyTests {
    static let seeds: UInt64 = 100

    /// Observed seconds, sampling interval, and how far the rate may be off.
    struct Observation: Sendable, CustomTestStringConvertible {
        var duration: Double
        var interval: Double
        var tolerance: Double
        var testDescription: String { "\(duration) s" }
    }

    static let observations = [
        Observation(duration: 15, interval: 65_536, tolerance: 0.15),
        Observation(duration: 60, interval: 65_536, tolerance: 0.1),
        Observation(duration: 600, interval: 1_048_576, tolerance: 0.1),
    ]

    @Test(arguments: Scenario.leaks, observations)
    func leakIsFirst(_ scenario: Scenario, _ observation: Observation) {
        var errors: [Double] = []
        var covered = 0
        var others: [UInt64] = []
        for seed in 0..<Self.seeds {
            let (service, report) = observe(scenario, seed, observation)
            #expect(report.suspects.first?.function == Scenario.leakingFunction, "seed \(seed)")
            if !report.suspects.dropFirst().allSatisfy({ $0.confidenceLabel == .low }) { others.append(seed) }
            #expect(report.verdict.class == .leak, "seed \(seed)")
            guard let first = report.suspects.first else { continue }
            if scenario == .pureLeak, observation.duration == 15 {
                #expect(report.healthy.contains { $0.liveBytes > first.liveBytes }, "the leak is not the largest yet")
            }
            errors.append(abs(first.bytesPerSecond / service.trueRate - 1))
            if first.low <= service.trueRate, service.trueRate <= first.high { covered += 1 }
        }
        // Of an insertion's three kinds of blocks one may, by chance, not seem to come at the pace of the others.
        #expect(others.count <= (scenario == .insertionLeak ? 3 : 0), "seeds \(others) have another suspect")
        errors.sort()
        // A partial leak is a sixth of the others: fewer samples, and turnover fifty times as large beside them.
        let tolerance = observation.tolerance * (scenario == .partialLeak ? 2 : 1)
        let almostAll = errors[errors.count * 97 / 100]
        #expect(almostAll < tolerance, "97% of the errors are below this")
        #expect(errors[errors.count / 2] < tolerance / 2)
        #expect(covered >= 85, "the 95% interval holds")
    }

    @Test(
        arguments: observations
            + [5, 8, 11, 12, 20, 27, 40, 100].map {
                Observation(duration: $0, interval: 65_536, tolerance: 0)
            })
    func healthyServiceHasNoSuspect(_ observation: Observation) {
        for seed in 0..<Self.seeds {
            let (_, report) = observe(.healthy, seed, observation)
            #expect(report.suspects.allSatisfy { $0.confidenceLabel == .low }, "seed \(seed)")
            #expect(report.verdict.class != .leak, "seed \(seed)")
            if observation.duration >= 15 { #expect(report.verdict.class == .stable, "seed \(seed)") }
        }
    }

    /// Killed within two seconds of its start: nothing is certain, but the first suspect is right.
    @Test func fastLeakIsFirstAtOnce() {
        for seed in 0..<Self.seeds {
            var heap = HeapSimulator(seed: seed, duration: 1.5)
            heap.addHealthyNeighbours()
            let rate = heap.addLeak(.pureLeak, rate: 200e6)
            let (profile, symbols) = heap.finish()
            let report = analyze(LeakInput(profile: profile, symbols: symbols))
            let first = report.suspects.first
            #expect(first?.function == Scenario.leakingFunction, "seed \(seed)")
            #expect(first.map { abs($0.bytesPerSecond / rate - 1) < 0.1 } == true, "seed \(seed)")
            #expect(report.verdict.class != .stable)
        }
    }

    @Test func exactProfileGivesTheExactRate() throws {
        var heap = HeapSimulator(seed: 1, duration: 30, interval: 1)
        let startUp = heap.addSite(["malloc", "load()", "main"])
        for _ in 0..<1000 { heap.allocate(startUp, size: 1000, at: 0.1) }
        let leak = heap.addSite(["malloc", "remember()", "main"])
        for block in 0..<3000 { heap.allocate(leak, size: 200, at: Double(block) / 100) }
        let (profile, symbols) = heap.finish()
        let report = analyze(LeakInput(profile: profile, symbols: symbols))
        let suspect = try #require(report.suspects.first)
        #expect(suspect.function == "remember()")
        #expect(abs(suspect.bytesPerSecond / 20_000 - 1) < 0.01)
        #expect(report.suspects.count == 1)
    }

    private func observe(
        _ scenario: Scenario, _ seed: UInt64, _ observation: Observation
    ) -> (SimulatedService, LeakReport) {
        let service = SimulatedService(
            scenario, seed: seed, duration: observation.duration, interval: observation.interval)
        return (service, analyze(LeakInput(profile: service.profile, symbols: service.symbols)))
    }
}
