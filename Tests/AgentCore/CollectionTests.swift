import AgentCore
import TestSupport
import Testing
import TimeSeries

/// Collections that are counted all the time.
@Suite struct CollectionTests {
    private static var policy: Policy {
        var policy = Policy()
        policy.countsCollections = true
        return policy
    }

    private static func reading(_ title: String, _ count: Double, address: UInt64? = nil) -> CollectionReading {
        let identity = CollectionReading.Identity(
            kind: "Dictionary", owner: "App.Session",
            address: address ?? title.utf8.reduce(1) { $0 &* 31 &+ UInt64($1) })
        return CollectionReading(
            identity: identity, title: title, isHeld: true, bytesPerEntry: 10_000, count: count)
    }

    /// When each was told, of collections whose count is a function of time.
    private static func told(
        for seconds: Double, _ counts: [String: (Double) -> Double], inOtherHands: (Double) -> Bool = { _ in false }
    ) -> [String: [Double]] {
        var simulation = Simulation(policy)
        for step in 0..<Int(seconds / 5) {
            let time = Double(step) * 5
            simulation.run(until: time, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
            simulation.step(
                .counted(
                    counts.map {
                        var reading = reading($0.key, $0.value(time).rounded())
                        if inOtherHands(time) { reading.title = "another's, in App.Session" }
                        return reading
                    }, of: 1))
        }
        var told: [String: [Double]] = [:]
        for entry in simulation.log {
            guard case .notify(.collection, let situation, _) = entry.effect else { continue }
            #expect(situation.member == 1)
            told[situation.collection?.reading.title ?? "", default: []].append(entry.time)
        }
        return told
    }

    @Test func whatOnlyGrowsIsToldOnceInACoolDown() throws {
        let told = Self.told(for: 1500, ["events": { 500 + 40 * $0 }, "slower": { 10 * $0 }])
        let times = try #require(told["events"])
        #expect(told.count == 1 && times.count == 2)
        // Eight counts, and then as long again.
        #expect(times[0] >= 120 && times[0] <= 240, "\(times)")
    }

    /// Of many alike a sample is counted, and drawn anew now and then. What the old one was off by is no step in the series,
    /// whether it rose by an eighth too much each time, or knew nothing of those that came, which were all the growth.
    @Test(arguments: [false, true]) func aSampleIsDrawnAnew(knowsNoneThatCame: Bool) throws {
        var simulation = Simulation(Self.policy)
        let truth = { (time: Double) in 10_000 + 100 * time }
        var drawn = 0.0
        for time in stride(from: 0.0, through: 300, by: 5) {
            simulation.run(until: time, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
            let old = knowsNoneThatCame ? truth(drawn) : truth(time) * (1 + (time - drawn) / 480)
            let isDrawn = time > drawn && time.truncatingRemainder(dividingBy: 60) == 0
            drawn = isDrawn ? time : drawn
            let readings = [Self.reading("events", isDrawn ? truth(time) : old, address: 0)]
            let before = [Self.reading("events", old, address: 0)]
            simulation.step(.counted(isDrawn ? readings.inPlace(of: before) : readings, of: 1))
        }
        let points = try #require(simulation.core.countedCollections(of: 1).first?.points)
        #expect(points.allSatisfy { abs($0.value / truth($0.time) - 1) < 0.01 }, "\(points)")
        #expect(abs(try #require(risingCount(points)).perSecond - 100) < 2)
        let told = simulation.log.count { if case .notify(.collection, _, _) = $0.effect { true } else { false } }
        // Until the next sample nobody sees what came after the last one was drawn.
        #expect(told == (knowsNoneThatCame ? 0 : 1))
    }

    /// Of 20,000 dictionaries it is nearly all that two hold at some times, and a few at others.
    @Test func whatChangesHandsIsNoGrowth() throws {
        var simulation = Simulation(Self.policy)
        var old: [CollectionReading] = []
        for time in stride(from: 0.0, through: 1195, by: 5) {
            simulation.run(until: time, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
            let shared = (time / 150).rounded(.down).truncatingRemainder(dividingBy: 2) == 0 ? 20.0 : 19_980
            let isHeld = shared < 100
            var readings = [shared, 20_000 - shared].map {
                Self.reading(isHeld ? "App.timers, in App.Session" : "in App.Session", $0, address: 0)
            }
            for index in readings.indices { readings[index].isHeld = isHeld }
            let isDrawn = time.truncatingRemainder(dividingBy: 75) == 0
            simulation.step(.counted(isDrawn ? readings.inPlace(of: old) : readings, of: 1))
            old = readings
        }
        let counted = simulation.core.countedCollections(of: 1)
        #expect(old.first?.isHeld == false)
        #expect(counted.map(\.reading.title) == ["App.timers, in App.Session"])
        #expect(counted.flatMap(\.points).allSatisfy { $0.value == 20_000 })
    }

    /// What was exact when the sample was drawn anew is not changed by what is learnt at the next draw.
    @Test func aSampleThatWasRightIsDrawnAnewAllTheSame() throws {
        var simulation = Simulation(Self.policy)
        for (time, count, old) in [(0.0, 1000.0, 1000.0), (300, 1000, 1000), (600, 1500, 1000)] {
            simulation.time = time
            simulation.step(
                .counted(
                    [Self.reading("a", count, address: 0)].inPlace(of: [Self.reading("a", old, address: 0)]), of: 1))
            simulation.time = time + 5
            simulation.step(.counted([Self.reading("a", count, address: 0)], of: 1))
        }
        let points = try #require(simulation.core.countedCollections(of: 1).first?.points)
        #expect(points.filter { $0.time <= 300 }.allSatisfy { $0.value == 1000 }, "\(points)")
        #expect(points.last?.value == 1500)
    }

    /// In different hands, they are one; of other kinds, in other objects, of other elements they are others.
    @Test func samplesOfOnePartAreOne() throws {
        var other = Self.reading("a", 300, address: 0)
        other.bytesPerEntry = 2_000
        let part = [Self.reading("a", 100, address: 0), other]
        var others = [Self.reading("a", 5)]
        for change: (inout CollectionReading.Identity) -> Void in [
            { $0.kind = "Array" }, { $0.owner = nil }, { $0.offset = 16 }, { $0.type = "App.Event" },
            { $0.elementSize = 48 },
        ] {
            others.append(Self.reading("a", 5, address: 0))
            change(&others[others.count - 1].identity)
        }
        let merged = (part + others).merged
        #expect(merged.count == 7)
        let sum = try #require(merged.first { $0.count == 400 })
        #expect(sum.bytesPerEntry == 4_000)
        #expect(
            (part + others).inPlace(of: [Self.reading("b", 320, address: 0)]).compactMap(\.correction).max() == 1.25)
    }

    /// It goes on growing while it is in other hands now and then.
    @Test func whatGrowsAndChangesHandsIsFollowedByItsAddress() {
        let told = Self.told(
            for: 400, ["events": { 500 + 40 * $0 }], inOtherHands: { $0.truncatingRemainder(dividingBy: 60) < 30 })
        #expect(told.values.joined().count == 1, "\(told)")
    }

    /// Of a service's workers the largest is looked through, each in its turn.
    @Test func anotherProcessBeginsAnew() {
        var simulation = Simulation(Self.policy)
        simulation.step(.counted([Self.reading("a", 1)], of: 1))
        simulation.time = 5
        simulation.step(.counted([Self.reading("a", 900)], of: 2))
        #expect(simulation.core.countedCollections(of: 1).isEmpty)
        #expect(simulation.core.countedCollections(of: 2).flatMap(\.points).map(\.value) == [900])
    }

    /// Of those that each fill and are cleared in turn a sample may only rise for a while.
    @Test(arguments: [(address: UInt64(16), rise: 0.2, isTold: true), (0, 0.3, false), (0, 0.4, true)])
    func aSampleHasToRiseByMore(address: UInt64, rise: Double, isTold: Bool) {
        var simulation = Simulation(Self.policy)
        for time in stride(from: 0.0, through: 600, by: 5) {
            simulation.run(until: time, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
            simulation.step(.counted([Self.reading("a", 100_000 * (1 + rise * time / 600), address: address)], of: 1))
        }
        let told = simulation.log.contains { if case .notify(.collection, _, _) = $0.effect { true } else { false } }
        #expect(told == isTold)
    }

    @Test func tidesFillingCachesAndTablesAreNot() {
        let told = Self.told(
            for: 3600,
            [
                "sessions": { 5000 + 4000 * ($0.truncatingRemainder(dividingBy: 60) / 60) },
                "cache": { 20_000 * min(1, $0 / 90) }, "table": { _ in 1e6 },
                "small": { 100 + 0.01 * $0 },
            ])
        #expect(told.isEmpty, "\(told)")
    }

    /// At 10 seconds, a minute, six, and then every ten minutes.
    @Test func surveysAreRare() {
        var simulation = Simulation(Self.policy)
        var asked: [Double] = []
        while simulation.time < 3600 {
            simulation.run(until: simulation.time + 1, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
            let count = simulation.count(.survey)
            if count > asked.count {
                simulation.time -= simulation.core.interval
                asked.append(simulation.time)
                simulation.step(.surveyed)
                simulation.time += simulation.core.interval
            }
        }
        #expect(asked.count >= 6 && asked.count <= 9, "\(asked)")
        #expect(asked.prefix(3).map { ($0 / 10).rounded() } == [1, 6, 36], "\(asked)")
    }

    @Test func aSurveyThatTakesLongIsRarer() {
        var simulation = Simulation(Self.policy)
        simulation.run(until: 12, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.count(.survey) == 1)
        simulation.run(until: 42, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.count(.survey) == 1)
        simulation.step(.surveyed)
        simulation.run(until: 2900, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.count(.survey) == 1)
        simulation.run(until: 3300, limit: 4096 * mebibyte) { _ in 100 * mebibyte }
        #expect(simulation.count(.survey) == 2)
    }

    /// Near the limit there would not be the memory for it, and nobody asked for it.
    @Test func notNearTheLimitAndNotUnasked() {
        var near = Simulation(Self.policy)
        near.run(until: 600, limit: 100 * mebibyte) { _ in 70 * mebibyte }
        #expect(near.count(.survey) == 0)
        var unasked = Simulation(Policy())
        unasked.run(until: 600, limit: 4096 * mebibyte) { _ in 70 * mebibyte }
        #expect(unasked.count(.survey) == 0)
    }

    /// What was counted goes into the snapshots; what is no longer there does not.
    @Test func whatIsGoneIsForgotten() {
        var simulation = Simulation(Self.policy)
        simulation.step(.counted([Self.reading("a", 1), Self.reading("b", 2)], of: 1))
        simulation.time += 5
        simulation.step(.counted([Self.reading("b", 3)], of: 1))
        let counted = simulation.core.countedCollections(of: 1)
        #expect(counted.map(\.reading.title) == ["b"])
        #expect(counted.first?.points == [Point(time: 0, value: 2), Point(time: 5, value: 3)])
    }
}
