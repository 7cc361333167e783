import HeapProfile
import LeakAnalysis
import Testing

/// Ways down to where memory comes together, ways up to who holds it, and what one can ask.
@Suite struct HeapAnswerTests {
    private static var heap: HeapSurvey {
        func object(_ type: String, _ retained: UInt64, _ holder: HeapSurvey.Object.Holder) -> HeapSurvey.Object {
            .init(
                address: 0x1000 + retained * 16, type: type, bytes: 48, retainedBytes: retained, retainedCount: 1,
                holder: holder)
        }
        var heap = HeapSurvey(blockCount: 9, bytes: 1000)
        heap.roots = [
            .init(kind: .global, name: "app::tracker", retainedBytes: 900, retainedCount: 9),
            .init(kind: .global, name: "app::tracker_old", retainedBytes: 50, retainedCount: 1),
        ]
        heap.objects = [
            object("Tracker", 890, .root(0)), object("Table", 700, .object(0)), object("Node", 300, .object(1)),
            object("Node", 290, .object(1)), object("Log", 100, .object(0)), object("Old", 50, .root(1)),
            object("Shared", 40, .others),
        ]
        heap.types = [.init(name: "Node", count: 2, shallowBytes: 96, retainedBytes: 590)]
        heap.leaks = [.init(type: "Node", bytes: 7, count: 1, isCycle: false)]
        heap.collections = [
            .init(
                container: .init(kind: "std::list", count: 3), owner: "Tracker", root: 0, retainedBytes: 100,
                retainedCount: 3, addresses: [0x1000 + 890 * 16 + 40]),
            .init(
                container: .init(kind: "Set", count: 1), type: "Storage<Node>", retainedBytes: 9, retainedCount: 1,
                addresses: [5]),
        ]
        return heap
    }

    /// Collections of one kind in different hands are called by the one that holds nine tenths of them.
    @Test(arguments: [(900, 0), (899, nil)])
    func whatIsMostlyInOneHandIsCalledByIt(bytes: UInt64, holder: Int?) {
        func collections(_ root: Int?, _ bytes: UInt64) -> HeapSurvey.Collection {
            .init(
                container: .init(kind: "std::list", count: 3), owner: "Tracker", root: root, retainedBytes: bytes,
                retainedCount: 3, addresses: [16, 32])
        }
        #expect(Self.heap.holder(of: [collections(nil, 1000 - bytes), collections(0, bytes)]) == holder)
        #expect(Self.heap.holder(of: [collections(0, 1000 - bytes), collections(nil, bytes)]) == nil)
    }

    /// To the table, since none of its nodes has 70% of what it has.
    @Test func toWhereItComesTogether() {
        #expect(Self.heap.way(fromRoot: 0).map(\.type) == ["Tracker", "Table"])
        #expect(Self.heap.way(fromRoot: 1).map(\.type) == ["Old"])
    }

    @Test func aRootByItsName() {
        let answer = HeapAnswer(.root("app::tracker"), in: Self.heap)
        #expect(answer.roots.map(\.name) == ["app::tracker"])
        #expect(answer.objects.map { $0.objects.map(\.type) } == [["Tracker"]])
        #expect(answer.collections.map(\.container.kind) == ["std::list"])
        // A part of a name that is nobody's own.
        #expect(HeapAnswer(.root("track"), in: Self.heap).roots.count == 2)
        #expect(HeapAnswer(.root("cache"), in: Self.heap).isEmpty)
    }

    @Test func aType() {
        let answer = HeapAnswer(.type("Node"), in: Self.heap)
        #expect(answer.types.count == 1 && answer.leaks.count == 1)
        #expect(
            answer.objects.map { $0.objects.map(\.type) } == Array(repeating: ["Tracker", "Table", "Node"], count: 2))
        #expect(answer.objects.allSatisfy { $0.root?.name == "app::tracker" })
        #expect(answer.collections.map(\.type) == ["Storage<Node>"])
    }

    /// By any address in it; with what it holds, and the collections that are a part of it.
    @Test func anObject() {
        let answer = HeapAnswer(.object(0x1000 + 890 * 16 + 47), in: Self.heap)
        #expect(answer.objects.map { $0.objects.last?.type } == ["Tracker", "Table", "Log"])
        #expect(answer.collections.map(\.container.kind) == ["std::list"])
        let shared = HeapAnswer(.object(0x1000 + 40 * 16), in: Self.heap)
        #expect(shared.objects.first?.root == nil && shared.objects.count == 1)
        #expect(HeapAnswer(.object(0x1000 + 40 * 16 + 48), in: Self.heap).isEmpty)
    }

    @Test func collectionsThatGrewAndThoseThatRise() throws {
        var later = Self.heap
        later.collections[0].container.count = 33
        later.collections[0].retainedBytes = 700
        later.collections[1].addresses = [6]
        later.collections[1].container.count = 99
        let report = analyze(
            LeakInput(
                profile: nil, heap: later, earlier: EarlierSurvey(heap: Self.heap, seconds: 10),
                counts: [
                    CollectionCounts(
                        title: "a", kind: "Set", bytesPerEntry: 100, times: (0..<20).map { 5 * Double($0) },
                        counts: (0..<20).map { 1000 + 100 * Double($0) }),
                    CollectionCounts(
                        title: "b", kind: "Set", bytesPerEntry: 100, times: (0..<20).map { 5 * Double($0) },
                        counts: (0..<20).map { 1000 + 100 * Double($0 % 4) }),
                    // Of what is counted by a sample, one by a sixth, one by half.
                    CollectionCounts(
                        title: "c", kind: "Set", isSample: true, bytesPerEntry: 9000,
                        times: (0..<20).map { 5 * Double($0) }, counts: (0..<20).map { 1000 + 10 * Double($0) }),
                    CollectionCounts(
                        title: "d", kind: "Set", isSample: true, bytesPerEntry: 100,
                        times: (0..<20).map { 5 * Double($0) }, counts: (0..<20).map { 1000 + 30 * Double($0) }),
                ]))
        // Another one at another address is not the same one.
        let growth = try #require(report.collectionGrowth.first)
        #expect(report.collectionGrowth.count == 1 && growth.title == "app::tracker, in Tracker")
        #expect(growth.entriesPerSecond == 3 && growth.bytesPerEntry == 20)
        let rising = try #require(report.risingCollections.first)
        #expect(report.risingCollections.map(\.title) == ["a", "d"])
        #expect(abs(rising.entriesPerSecond - 20) < 0.1 && abs(rising.bytesPerSecond - 2000) < 10)
        #expect(rising.count == 2900 && rising.seconds == 95)
        // Without a profile nothing else is known.
        #expect(
            report.verdict.class == .growth
                && report.verdict.summary.hasSuffix("a has a collection that only grows, by 1.95 KiB/s."),
            "\(report.verdict)")
    }
}
