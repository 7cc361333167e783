import AgentCore
import Testing

@Suite struct EndingTests {
    private func watched() -> Simulation {
        var simulation = Simulation(Policy())
        simulation.run(until: 5, limit: 1024 * mebibyte) { _ in 100 * mebibyte }
        return simulation
    }

    @Test func aKilledProcessLeavesASnapshotBeforeItsLedgerGoes() {
        var simulation = watched()
        simulation.step(.ended(Ending(.killed, oomKills: 1)))
        #expect(simulation.captures.map(\.trigger) == [.killed])
        guard case .capture(_, let situation) = simulation.log.last?.effect else { return #expect(Bool(false)) }
        #expect(situation.isOutOfMemory)
        #expect(simulation.count(.discardLedger) == 0)
        simulation.finishCapture()
        #expect(simulation.notices(.killed).map(\.snapshot) == ["snapshot-1"])
        #expect(simulation.count(.symbolize(path: "snapshot-1")) == 1)
        #expect(simulation.log.last?.effect == .discardLedger)
    }

    @Test func theLedgerStaysWhereTheSnapshotFailed() {
        var simulation = watched()
        simulation.failsToCapture = true
        simulation.step(.ended(Ending(.killed, oomKills: 0)))
        simulation.finishCapture()
        #expect(simulation.count(.discardLedger) == 0)
        #expect(simulation.notices(.killed).count == 1)
    }

    @Test func aKillDuringASnapshotIsFollowedByAnother() {
        var simulation = Simulation(Policy())
        simulation.captureSeconds = 100
        simulation.run(until: 1, limit: 1024 * mebibyte) { _ in 1000 * mebibyte }
        #expect(simulation.captures.map(\.trigger) == [.limit])
        simulation.step(.ended(Ending(.killed)))
        #expect(simulation.captures.count == 1)
        simulation.finishCapture()
        #expect(simulation.captures.map(\.trigger) == [.limit, .killed])
        #expect(simulation.count(.discardLedger) == 0)
        simulation.finishCapture()
        #expect(simulation.count(.discardLedger) == 1)
    }

    @Test func anotherProcessOfTheServiceThatWasKilledIsTold() {
        var simulation = watched()
        simulation.step(.memberEnded(pid: 8, snapshot: "of-8", wasKilled: true))
        #expect(simulation.notices(.killed).map(\.snapshot) == ["of-8"])
        guard case .notify(_, let situation, _) = simulation.log.first?.effect else { return #expect(Bool(false)) }
        #expect(situation.member == 8)
        #expect(simulation.count(.symbolize(path: "of-8")) == 1)
        simulation.step(.memberEnded(pid: 9, snapshot: "of-9", wasKilled: true))
        #expect(simulation.notices(.killed).count == 1)
    }

    @Test func ofOneThatMayHaveEndedByItselfNobodyIsTold() {
        var simulation = watched()
        simulation.step(.memberEnded(pid: 8, snapshot: "of-8", wasKilled: false))
        #expect(simulation.log.map(\.effect) == [.symbolize(path: "of-8")])
    }

    @Test(arguments: [false, true]) func aCleanExitDuringASnapshotLeavesItsLedgerToIt(fails: Bool) {
        var simulation = Simulation(Policy())
        simulation.captureSeconds = 100
        simulation.failsToCapture = fails
        simulation.run(until: 1, limit: 1024 * mebibyte) { _ in 1000 * mebibyte }
        #expect(simulation.captures.map(\.trigger) == [.limit])
        simulation.step(.ended(Ending(.exited)))
        #expect(simulation.count(.discardLedger) == 0)
        simulation.finishCapture()
        #expect(simulation.captures.count == 1)
        // Else it is all that is left of what was to be kept.
        #expect(simulation.count(.discardLedger) == (fails ? 0 : 1))
    }

    @Test(arguments: [false, true]) func aCleanExitAfterASnapshotThatFailedLeavesTheLedger(fails: Bool) {
        var simulation = Simulation(Policy())
        simulation.failsToCapture = fails
        simulation.run(until: 3, limit: 1024 * mebibyte) { _ in 1000 * mebibyte }
        #expect(simulation.captures.map(\.trigger) == [.limit])
        simulation.step(.ended(Ending(.exited)))
        #expect(simulation.count(.discardLedger) == (fails ? 0 : 1))
    }

    @Test func aCleanExitLeavesNothing() {
        var simulation = watched()
        simulation.step(.ended(Ending(.exited)))
        #expect(simulation.log.map(\.effect) == [.discardLedger])
    }

    /// What the destructors left would contradict the snapshot of the growth, and be newer.
    @Test func aCleanExitAfterGrowthLeavesTheSnapshotOfTheGrowth() {
        var simulation = Simulation(Policy())
        simulation.run(until: 100, limit: 4096 * mebibyte) { (100 + 5 * $0) * mebibyte }
        simulation.step(.ended(Ending(.exited)))
        #expect(simulation.captures.map(\.trigger) == [.growth])
    }

    @Test func anExitIsKeptWhereAsked() {
        var policy = Policy()
        policy.snapshotsAtExit = true
        var simulation = Simulation(policy)
        simulation.run(until: 3) { _ in mebibyte }
        simulation.step(.ended(Ending(.exited)))
        #expect(simulation.captures.map(\.trigger) == [.exit])
    }

    @Test func historyIsBoundedAndKeepsTheTroughs() {
        var history = MemoryHistory<(time: Double, bytes: Double)>(
            window: 1, capacity: 64, time: { $0.time }, bytes: { $0.bytes })
        for i in 0..<100_000 {
            let time = Double(i) * 0.5
            history.add((time, i % 100 == 0 ? 10 : 50))
        }
        history.add((1, 0))  // from before: left out
        history.add((.nan, 0))
        let readings = history.readings
        #expect(readings.count <= 65 && readings.count >= 32)
        #expect(readings.dropLast().allSatisfy { $0.bytes == 10 })
        #expect(readings.last?.time == 49_999.5)
        #expect(zip(readings, readings.dropFirst()).allSatisfy { $0.time < $1.time })
    }
}
