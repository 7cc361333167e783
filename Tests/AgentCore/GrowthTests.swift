import AgentCore
import TestSupport
import Testing
import TimeSeries

@Suite struct GrowthTests {
    @Test func steadyGrowthIsToldOnceInACoolDown() throws {
        var policy = Policy()
        policy.alertCooldown = 600
        var simulation = Simulation(policy)
        var random = SplitMix64(seed: 2)
        simulation.run(until: 1200, limit: 4096 * mebibyte) { time in
            let tooth = 60 * (time.truncatingRemainder(dividingBy: 17) / 17)
            return (300 + time + tooth + Double.random(in: -2...2, using: &random)) * mebibyte
        }
        let times = simulation.notices(.growth).map(\.time)
        let first = try #require(times.first)
        #expect(first >= 60 && first <= 400)
        #expect(times.count == 2)
        #expect(simulation.captures.first?.trigger == .growth)
        #expect(simulation.captures.count == 1)
        let growth = try #require(simulation.core.growth)
        #expect(abs(growth.perSecond / mebibyte - 1) < 0.1)
    }

    /// A deploy, or the first use of something, long after the start.
    @Test(arguments: [600.0, 3600.0, 14_400.0, 86_400.0])
    func growthThatBeginsLate(_ flat: Double) throws {
        var simulation = Simulation(Policy())
        var random = SplitMix64(seed: 3)
        simulation.run(until: flat + 1800, limit: 8192 * mebibyte) { time in
            (500 + max(0, time - flat) + Double.random(in: -3...3, using: &random)) * mebibyte
        }
        let first = try #require(simulation.notices(.growth).first)
        #expect(first.time > flat && first.time <= flat + 900, "\(first.time - flat) s after")
    }

    /// Every rise of a tide looks like late growth, and leads to where memory was before.
    @Test func tidesAreNotGrowth() {
        var simulation = Simulation(Policy())
        var random = SplitMix64(seed: 4)
        simulation.run(until: 24 * 3600, limit: 4096 * mebibyte) { time in
            let phase = time.truncatingRemainder(dividingBy: 7200) / 3600
            return (500 + 400 * (1 - abs(phase - 1)) + Double.random(in: -5...5, using: &random)) * mebibyte
        }
        #expect(simulation.notices(.growth).allSatisfy { $0.time < 7200 })
    }

    @Test func flatAndWarmingUpAreNotGrowth() {
        var random = SplitMix64(seed: 5)
        func notices(_ shape: (Double) -> Double) -> [Double] {
            var simulation = Simulation(Policy())
            simulation.run(until: 3600, limit: 4096 * mebibyte) { time in
                (shape(time) + Double.random(in: -5...5, using: &random)) * mebibyte
            }
            return simulation.notices(.growth).map(\.time)
        }
        #expect(notices { _ in 500 }.isEmpty)
        #expect(notices { $0 < 120 ? 100 + 3 * $0 : 460 }.allSatisfy { $0 < 130 })
    }

    @Test func anotherProcessInItsPlaceStartsAnew() {
        var simulation = Simulation(Policy())
        simulation.run(until: 100, limit: 4096 * mebibyte) { (100 + 5 * $0) * mebibyte }
        #expect(simulation.core.growth != nil)
        simulation.process = ProcessKey(pid: 7, startTicks: 99)
        simulation.run(until: 101, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.count(.forget) == 1)
        #expect(simulation.core.growth == nil)
    }

    @Test func theNextProcessOfAServiceStartsAnewButPeopleWereTold() {
        var simulation = Simulation(Policy())
        simulation.run(until: 5) { _ in 100 * mebibyte }
        simulation.step(.ended(Ending(.killed)))
        simulation.finishCapture()
        #expect(simulation.notices(.killed).count == 1)
        simulation.core = simulation.core.successor()
        simulation.process = ProcessKey(pid: 8, startTicks: 2)
        simulation.time += 60
        simulation.run(until: 70) { _ in 100 * mebibyte }
        simulation.step(.ended(Ending(.killed)))
        simulation.finishCapture()
        #expect(simulation.notices(.killed).count == 1)
        #expect(simulation.captures.count == 2)
        simulation.core = simulation.core.successor()
        simulation.time += simulation.core.policy.alertCooldown
        simulation.step(.ended(Ending(.killed)))
        simulation.finishCapture()
        #expect(simulation.notices(.killed).count == 2)
    }

    @Test func aClockThatJumpsChangesNothing() {
        var simulation = Simulation(Policy())
        simulation.run(until: 100, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        for jump in [-50.0, 3600, -1e9, .nan, .infinity, 1e12] {
            simulation.time = jump
            simulation.step(
                .memory(
                    MemoryReading(
                        process: simulation.process, ownBytes: 100 * mebibyte,
                        cgroup: Occupancy(used: 101 * mebibyte, limit: 4096 * mebibyte))))
        }
        #expect(simulation.log.isEmpty)
        #expect(simulation.core.interval <= 1)
    }

    @Test func figuresThatAreNoNumbersAreIgnored() {
        var core = AgentCore(policy: Policy())
        let key = ProcessKey(pid: 1, startTicks: 1)
        for bytes in [Double.nan, .infinity, -1e300, 0] {
            for limit in [Double.nan, 0, -1, .infinity] {
                let reading = MemoryReading(
                    process: key, ownBytes: bytes, cgroup: Occupancy(used: bytes, limit: limit))
                _ = core.step(Observation(time: 1, event: .memory(reading)))
                #expect(core.interval >= 0.02 && core.interval <= 1)
            }
        }
    }
}
