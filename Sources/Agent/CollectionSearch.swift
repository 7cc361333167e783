import AgentCore
import FoundationEssentials
import Glibc
import HeapProfile
import LeakAnalysis

/// A collection whose entries can be counted while the process runs, or several in one hand, of which some are counted.
struct FoundCollection: Codable {
    var identity: CollectionReading.Identity
    var title: String
    /// It is in the hands of one variable alone.
    var isHeld: Bool
    /// Entries that each one stands for that is counted at one of the addresses: large ones grow more than small ones.
    var scale: Double
    var addresses: [UInt64]
    var bytesPerEntry: Double
}

extension FoundCollection {
    private static let most = 64

    /// The largest of a heap: variables, and parts of objects of one type in whatever hands.
    static func largest(of survey: HeapSurvey) -> [FoundCollection] {
        let counted = survey.collections.filter { $0.sampledCount > 0 }
        return Dictionary(grouping: counted, by: CollectionReading.Identity.init)
            .sorted { $0.value.retainedBytes > $1.value.retainedBytes }
            .prefix(most).flatMap { found($0, in: $1, survey) }
    }

    private static func found(
        _ identity: CollectionReading.Identity, in hands: [HeapSurvey.Collection], _ survey: HeapSurvey
    ) -> [FoundCollection] {
        var (identity, whole) = (identity, hands[0])
        if hands.count == 1, whole.instances == 1 { identity.address = whole.addresses.first ?? 0 }
        whole.root = survey.holder(of: hands)
        let title = survey.title(of: whole)
        return hands.map { hand in
            FoundCollection(
                identity: identity, title: title, isHeld: whole.root != nil,
                scale: Double(hand.container.count) / Double(hand.sampledCount), addresses: hand.addresses,
                bytesPerEntry: hand.bytesPerEntry)
        }
    }
}

extension CollectionReading.Identity {
    /// Of all that are this part of objects of one type; a variable's is nobody's like.
    fileprivate init(_ collection: HeapSurvey.Collection) {
        self.init(
            kind: collection.container.kind, owner: collection.owner, offset: collection.offset, type: collection.type,
            elementSize: collection.elementSize,
            address: collection.owner == nil ? collection.addresses.first ?? 0 : 0)
    }
}

/// `heaptide find-collections`: reads a heap in a helper process, and tells the agent which collections are large.
public struct CollectionSearch: Codable {
    var heap: HeapRequest
    /// Path of a file that the answer is written to.
    var answer: String

    var json: [UInt8] { (try? JSONEncoder().encode(self)).map(Array.init) ?? [] }

    static func found(_ answer: [UInt8]?) -> [FoundCollection]? {
        answer.flatMap { try? JSONDecoder().decode([FoundCollection].self, from: Data($0)) }
    }

    public static func perform(request: [UInt8]) throws {
        guard let search = try? JSONDecoder().decode(CollectionSearch.self, from: Data(request)) else {
            throw AgentError(
                .system, "find-collections: standard input holds no request: this command serves `heaptide run --heap`")
        }
        let found = FoundCollection.largest(of: try search.heap.survey())
        try JSONEncoder().encode(found).write(to: URL(filePath: search.answer))
    }
}
