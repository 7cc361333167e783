import AgentCore
import HeapProfile
import Testing

@testable import Agent

/// Which collections of a heap are counted from then on.
@Suite struct FoundCollectionTests {
    private static func arrays(
        _ count: UInt64, at addresses: [UInt64], offset: UInt64? = 16, owner: String? = "Session", root: Int? = nil,
        bytes: UInt64 = 1000
    ) -> HeapSurvey.Collection {
        HeapSurvey.Collection(
            instances: UInt64(addresses.count), container: .init(kind: "Array", count: count), owner: owner,
            offset: owner == nil ? nil : offset, root: root, retainedBytes: bytes, retainedCount: 1,
            addresses: addresses, sampledCount: count)
    }

    private static func largest(_ collections: [HeapSurvey.Collection]) -> [FoundCollection] {
        var survey = HeapSurvey(blockCount: 0, bytes: 0)
        survey.roots = ["first", "second"].map { .init(kind: .global, name: $0, retainedBytes: 0, retainedCount: 0) }
        survey.collections = collections
        return FoundCollection.largest(of: survey)
    }

    /// One in the hands of another than the rest are in is one of the sample, too.
    @Test(arguments: [false, true]) func aPartIsASampleInWhateverHands(isReversed: Bool) {
        let hands = [Self.arrays(10, at: [16, 32], root: 0), Self.arrays(20, at: [48], root: 1, bytes: 100)]
        let found = Self.largest(isReversed ? hands.reversed() : hands)
        #expect(found.map(\.identity.address) == [0, 0] && Set(found.map(\.identity)).count == 1)
        #expect(found.allSatisfy { $0.title == "first, in Session" && $0.isHeld })
    }

    /// A vector's rate is not that of the room that it keeps.
    @Test func entriesTakeWhatIsInUse() {
        var vector = Self.arrays(100, at: [16], bytes: 1600)
        vector.unusedBytes = 800
        #expect(Self.largest([vector]).map(\.bytesPerEntry) == [8])
    }

    @Test func theOnlyOneOfItsPartIsKnownByItsAddress() {
        #expect(Self.largest([Self.arrays(10, at: [16])]).map(\.identity.address) == [16])
        #expect(Self.largest([Self.arrays(10, at: [16])]).map(\.isHeld) == [false])
    }

    /// The log that grows, and the latest that are cleared in turn.
    @Test func twoPartsOfOneTypeAreTwo() {
        let found = Self.largest([
            Self.arrays(10, at: [16, 64], offset: 16), Self.arrays(10, at: [24, 72], offset: 24),
        ])
        #expect(Set(found.map(\.identity)).count == 2)
    }

    /// Nothing is alike of two variables.
    @Test func variablesAreTold() {
        let found = Self.largest([
            Self.arrays(10, at: [16], owner: nil, root: 0), Self.arrays(10, at: [32], owner: nil, root: 1),
        ])
        #expect(Set(found.map(\.title)) == ["first", "second"] && Set(found.map(\.identity.address)) == [16, 32])
    }

    /// By the bytes of all hands together; and what cannot be counted takes no place.
    @Test func theLargestPartsAreTaken() {
        let small = (1...80).map { Self.arrays(10, at: [UInt64($0) * 16], owner: nil, bytes: 900) }
        let shared = (1...10).map { Self.arrays(10, at: [UInt64($0) * 8, UInt64($0)], owner: "Shared", bytes: 100) }
        var gone = Self.arrays(10, at: [8], owner: "Gone", bytes: 1 << 20)
        gone.sampledCount = 0
        let found = Self.largest(small + shared + [gone])
        #expect(found.count { $0.identity.owner == "Shared" } == 10)
        #expect(found.count { $0.identity.owner == nil } == 63 && found.count == 73)
    }
}
