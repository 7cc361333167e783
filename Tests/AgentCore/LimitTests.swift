import AgentCore
import TestSupport
import Testing

@Suite struct LimitTests {
    @Test(
        arguments: [5.0, 50, 200, 1000],
        [256.0, 1024, 8192])
    func snapshotComesBeforeTheLimit(rate: Double, limit: Double) throws {
        var simulation = Simulation(Policy())
        simulation.run(until: 3600, limit: limit * mebibyte) { (10 + rate * $0) * mebibyte }
        let end = (limit - 10) / rate
        let first = try #require(simulation.captures.first)
        #expect(first.trigger == .limit || first.trigger == .growth)
        // A snapshot is written in tens of milliseconds.
        let lead = end - first.time
        #expect(lead >= 0.1, "at \(first.time) s of \(end) s")
        let last = try #require(simulation.captures.last { $0.trigger == .limit })
        #expect(10 + rate * last.time >= 0.5 * limit)
        #expect(simulation.captures.count <= 8)
    }

    @Test func aSlowLeakIsSnapshottedAgainWhenItIsMateriallyCloser() {
        var simulation = Simulation(Policy())
        simulation.run(until: 3600, limit: 256 * mebibyte) { (10 + 0.2 * $0) * mebibyte }
        let shares = simulation.captures.filter { $0.trigger == .limit }.map { (10 + 0.2 * $0.time) / 256 }
        #expect(shares.count >= 3 && shares.count <= 7)
        #expect(abs((shares.first ?? 0) - 0.8) < 0.01)
        #expect((shares.last ?? 0) > 0.95)
        for (a, b) in zip(shares, shares.dropFirst()) { #expect(1 - b < (1 - a) / 2) }
    }

    /// After the last snapshot before the limit, until memory falls: then the next approach is a new one.
    @Test func itLooksNoMoreOftenThanIsOfUse() {
        var simulation = Simulation(Policy())
        simulation.run(until: 1150, limit: 256 * mebibyte) { (10 + 0.2 * $0) * mebibyte }
        #expect(simulation.core.interval < 0.1 && simulation.captures.contains { $0.trigger == .limit })
        simulation.run(until: 1225, limit: 256 * mebibyte) { (10 + 0.2 * $0) * mebibyte }
        #expect(simulation.core.interval == 1)
        simulation.run(until: 1230, limit: 256 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.core.interval < 0.1)
    }

    /// A sawtooth's peak is over when its snapshot is written: people are told what it was taken for.
    @Test func aSnapshotOfAPeakIsTold() throws {
        var simulation = Simulation(Policy())
        simulation.captureSeconds = 1
        simulation.run(until: 100, limit: 256 * mebibyte) { time in
            (time < 52.6 ? 100 + 2 * time : 100) * mebibyte
        }
        let told = simulation.log.compactMap { entry -> Situation? in
            if case .notify(.snapshot, let situation, _) = entry.effect { situation } else { nil }
        }
        let situation = try #require(told.first)
        #expect(situation.trigger == .limit && abs(situation.usedBytes / (256 * mebibyte) - 0.8) < 0.02)
        #expect(simulation.captures.first?.trigger == .limit)
    }

    /// It says by when it would be, as its reason was.
    @Test func anEarlySnapshotTellsTheSteepRise() throws {
        var simulation = Simulation(Policy())
        simulation.run(until: 60, limit: 1000 * mebibyte) { time in
            (time < 50 ? 300 : 300 + 200 * (time - 50)) * mebibyte
        }
        let early = try #require(
            simulation.log.compactMap { entry -> Situation? in
                if case .capture(.limit, let situation) = entry.effect { situation } else { nil }
            }.first)
        #expect(early.usedBytes < 800 * mebibyte && (early.secondsToLimit ?? .infinity) < Policy().leadTime)
    }

    /// A limit that was raised is a new one: the approach to it is saved, cool-down or not.
    @Test func aRaisedLimitIsApproachedAnew() {
        var simulation = Simulation(Policy())
        simulation.run(until: 245, limit: 256 * mebibyte) { (10 + $0) * mebibyte }
        let before = simulation.captures.count { $0.trigger == .limit }
        simulation.run(until: 245 + 490, limit: 768 * mebibyte) { (10 + $0) * mebibyte }
        let after = simulation.captures.filter { $0.trigger == .limit }.dropFirst(before)
        #expect(before >= 3 && after.count >= 3 && (after.first?.time ?? 0) >= 600)
    }

    /// The heap is read once while there is room for it; what comes later is told as without that.
    @Test func theHeapIsReadOnceHalfwayToTheLimit() {
        var policy = Policy()
        policy.heapLevel = 0.5
        var simulation = Simulation(policy)
        simulation.run(until: 3600, limit: 256 * mebibyte) { (10 + 0.2 * $0) * mebibyte }
        let heap = simulation.captures.filter { $0.trigger == .heap }
        #expect(heap.count == 1 && heap.first.map { abs((10 + 0.2 * $0.time) / 256 - 0.5) < 0.01 } == true)
        #expect(
            simulation.captures.contains { $0.trigger == .growth }
                && simulation.captures.contains { $0.trigger == .limit })
    }

    @Test func theOptionIsTheLimitWhereTheCgroupIsLooser() {
        var policy = Policy(memoryLimit: 100 * mebibyte)
        policy.growthSpan = .infinity
        var simulation = Simulation(policy)
        simulation.run(until: 20, limit: 1000 * mebibyte) { (10 + 4 * $0) * mebibyte }
        #expect(simulation.captures.first.map { (17...18.5).contains($0.time) } == true)
        #expect(simulation.core.occupancy?.limit == 100 * mebibyte)

        var tight = Simulation(Policy(memoryLimit: 100_000 * mebibyte))
        tight.run(until: 3, limit: 1000 * mebibyte) { _ in 20 * mebibyte }
        #expect(tight.core.occupancy?.limit == 1000 * mebibyte)
    }

    @Test func sawtoothFarFromTheLimitIsNobodysConcern() {
        var simulation = Simulation(Policy())
        var random = SplitMix64(seed: 1)
        simulation.run(until: 1800, limit: 1024 * mebibyte) { time in
            let phase = time.truncatingRemainder(dividingBy: 30) / 30
            return (200 + 300 * phase + Double.random(in: -20...20, using: &random)) * mebibyte
        }
        #expect(simulation.captures.isEmpty)
        #expect(EventKind.allCases.allSatisfy { simulation.notices($0).isEmpty })
    }

    @Test func sawtoothNearTheLimitIsSnapshottedOnceInACoolDown() {
        var simulation = Simulation(Policy())
        simulation.run(until: 3500, limit: 1000 * mebibyte) { time in
            (500 + 350 * (time.truncatingRemainder(dividingBy: 60) / 60)) * mebibyte
        }
        #expect(simulation.captures.count == 1)
        simulation.run(until: 3800, limit: 1000 * mebibyte) { time in
            (500 + 350 * (time.truncatingRemainder(dividingBy: 60) / 60)) * mebibyte
        }
        #expect(simulation.captures.count == 2)
    }

    @Test func steadyAtNinetyPercentIsSnapshottedOnce() {
        var simulation = Simulation(Policy())
        var random = SplitMix64(seed: 3)
        simulation.run(until: 2000, limit: 1000 * mebibyte) { _ in
            (900 + Double.random(in: -2...2, using: &random)) * mebibyte
        }
        #expect(simulation.captures.count == 1)
    }

    @Test func aTableLoadedAtStartIsNobodysConcern() {
        var simulation = Simulation(Policy())
        simulation.run(until: 1200, limit: 1024 * mebibyte) { min(400, 5 + 300 * $0) * mebibyte }
        #expect(simulation.captures.isEmpty)
    }

    @Test func aLoweredLimitIsNoticed() {
        var simulation = Simulation(Policy())
        simulation.run(until: 60, limit: 1024 * mebibyte) { _ in 400 * mebibyte }
        #expect(simulation.captures.isEmpty)
        simulation.run(until: 70, limit: 420 * mebibyte) { _ in 400 * mebibyte }
        #expect(simulation.captures.count == 1)
    }

    @Test func intervalShrinksWithTheHeadroom() {
        var simulation = Simulation(Policy())
        simulation.run(until: 5) { _ in 100 * mebibyte }
        #expect(simulation.core.interval == 1)
        simulation.run(until: 10, limit: 64 * 1024 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.core.interval == 1)
        simulation.run(until: 12, limit: 256 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.core.interval < 0.1 && simulation.core.interval >= 0.05)
        simulation.run(until: 12.5, limit: 256 * mebibyte) { (100 + 280 * ($0 - 12)) * mebibyte }
        #expect(simulation.core.interval == 0.02)
    }

    @Test func aFailedSnapshotIsTriedAgainButNotAtOnce() {
        var simulation = Simulation(Policy())
        simulation.failsToCapture = true
        simulation.run(until: 20_000, limit: 1000 * mebibyte) { (850 + $0 / 1000) * mebibyte }
        let times = simulation.captures.map(\.time)
        let pauses = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(pauses.count >= 11)
        // 5 s, doubled each time up to the cool-down; the next look may be a second later.
        for (index, pause) in pauses.enumerated() {
            let least = min(5 * Double(1 << min(index, 20)), Policy().snapshotCooldown)
            #expect((least...least + 2.5).contains(pause), "pause \(index) of \(pause) s")
        }
    }
}
