import AgentCore
import FoundationEssentials
import Glibc
import HeapProfile
import LeakAnalysis

/// A collection whose entries can be counted while the process runs, or several in one hand, of which some are counted.
struct FoundCollection: Codable, Equatable {
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
        let parts = Dictionary(grouping: counted, by: Part.init).values.sorted { bytes($0) > bytes($1) }
        return parts.prefix(most).flatMap { found($0, survey) }
    }

    private static func bytes(_ hands: [HeapSurvey.Collection]) -> Double {
        hands.reduce(0) { $0 + Double($1.retainedBytes) }
    }

    private static func found(_ hands: [HeapSurvey.Collection], _ survey: HeapSurvey) -> [FoundCollection] {
        var whole = hands[0]
        whole.root = survey.holder(of: hands)
        let title = survey.title(of: whole)
        let isOne = hands.count == 1 && whole.instances == 1
        return hands.map { hand in
            FoundCollection(
                identity: CollectionReading.Identity(
                    kind: hand.container.kind, owner: hand.owner, offset: hand.offset, type: hand.type,
                    elementSize: hand.elementSize, address: isOne ? hand.addresses.first ?? 0 : 0),
                title: title, isHeld: whole.root != nil,
                scale: Double(hand.container.count) / Double(hand.sampledCount), addresses: hand.addresses,
                bytesPerEntry: hand.bytesPerEntry)
        }
    }

    /// What is one collection, or are many alike, whoever holds them.
    private struct Part: Hashable {
        var kind: String
        var owner: String?
        var offset: UInt64?
        var type: String?
        var elementSize: UInt64?
        /// Of a variable's, which is nobody's like.
        var address: UInt64?

        init(_ collection: HeapSurvey.Collection) {
            kind = collection.container.kind
            owner = collection.owner
            offset = collection.offset
            type = collection.type
            elementSize = collection.elementSize
            address = owner == nil ? collection.addresses.first : nil
        }
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
