import HeapProfile
import LeakAnalysis
import Testing

/// Two looks at the heap of one process, compared.
@Suite struct HolderGrowthTests {
    private func root(
        _ name: String, _ retained: UInt64, _ count: UInt64? = nil, thread: Int32? = nil, kind: String = "Dictionary"
    ) -> HeapSurvey.Root {
        .init(
            kind: thread == nil ? .global : .threadLocal, name: name, module: "/opt/service", thread: thread,
            retainedBytes: retained, retainedCount: 1, container: count.map { .init(kind: kind, count: $0) })
    }

    private func growth(_ before: [HeapSurvey.Root], _ now: [HeapSurvey.Root], seconds: Double = 10) -> [HolderGrowth] {
        func survey(_ roots: [HeapSurvey.Root]) -> HeapSurvey {
            HeapSurvey(blockCount: 9, bytes: 100_000, roots: roots)
        }
        let earlier = EarlierSurvey(heap: survey(before), seconds: seconds)
        return analyze(LeakInput(profile: nil, heap: survey(now), earlier: earlier)).holderGrowth
    }

    @Test func whatGrewFastestFirst() throws {
        let found = growth(
            [root("cache", 40_000, 100), root("events", 1000, 10), root("shrinks", 9000, 9), root("stays", 5000, 5)],
            [root("events", 31_000, 310), root("cache", 41_000, 90), root("shrinks", 8000, 8), root("stays", 5010, 6)])
        #expect(found.map(\.root.name) == ["events", "cache"])
        let events = try #require(found.first)
        #expect(events.bytesPerSecond == 3000 && events.entriesPerSecond == 30 && events.bytesPerEntry == 100)
        // Fewer entries than before, and more bytes: nothing is said of each.
        #expect(found[1].entriesPerSecond == -1 && found[1].bytesPerEntry == nil)
    }

    /// One entry came to 5000, each of which grew.
    @Test func growthOfOldEntriesIsNotSaidOfNewOnes() throws {
        let found = growth([root("store", 50_000, 4999)], [root("store", 100_000, 5000)])
        #expect(try #require(found.first).bytesPerSecond == 5000)
        #expect(found.first?.bytesPerEntry == nil)
    }

    @Test func onlyWhatIsTheSameIsCompared() {
        let list = [root("mine", 1000, 1, thread: 7), root("mine", 1000, 1, thread: 8), root("", 1000, 1)]
        let found = growth(
            list + [root("twice", 10, 1), root("twice", 20, 2), root("other", 1000, 1, kind: "Set")],
            [
                root("mine", 9000, 9, thread: 8), root("mine", 9000, 9, thread: 9), root("", 9000, 9),
                root("twice", 9000, 9), root("new", 9000, 9), root("other", 9000, 9),
            ])
        #expect(found.map(\.root.name) == ["mine", "other"] && found.first?.root.thread == 8)
        #expect(found.last?.countBefore == nil && found.last?.bytesPerSecond == 800)
    }

    @Test(arguments: [0, -5, .nan, .infinity] as [Double]) func timesThatAreNone(_ seconds: Double) {
        #expect(growth([root("a", 1, 1)], [root("a", 99_999, 9)], seconds: seconds).isEmpty)
    }
}
