import AgentCore
import FoundationEssentials
import Glibc
import HeapProfile
import LeakAnalysis

/// A collection whose entries can be counted while the process runs, or several in one hand, of which some are counted.
struct FoundCollection: Codable {
    var identity: CollectionReading.Identity
    var title: String
    /// Entries that each one stands for that is counted at one of the addresses: large ones grow more than small ones.
    var scale: Double
    var addresses: [UInt64]
    var bytesPerEntry: Double
}

/// `heaptide find-collections`: reads a heap in a helper process, and tells the agent which collections are large.
public struct CollectionSearch: Codable {
    var heap: HeapRequest
    /// Path of a file that the answer is written to.
    var answer: String

    private static let most = 64

    var json: [UInt8] { (try? JSONEncoder().encode(self)).map(Array.init) ?? [] }

    static func found(_ answer: [UInt8]?) -> [FoundCollection]? {
        answer.flatMap { try? JSONDecoder().decode([FoundCollection].self, from: Data($0)) }
    }

    public static func perform(request: [UInt8]) throws {
        guard let search = try? JSONDecoder().decode(CollectionSearch.self, from: Data(request)) else {
            throw AgentError(
                .system, "find-collections: standard input holds no request: this command serves `heaptide run --heap`")
        }
        let survey = try search.heap.survey()
        let largest = survey.collections.filter { $0.sampledCount > 0 }.prefix(most)
        let found = Dictionary(grouping: largest, by: CollectionReading.Identity.init).flatMap { identity, hands in
            let title = survey.title(of: hands)
            return hands.map { hand in
                FoundCollection(
                    identity: identity, title: title,
                    scale: Double(hand.container.count) / Double(max(1, hand.sampledCount)),
                    addresses: hand.addresses,
                    bytesPerEntry: Double(hand.retainedBytes) / Double(hand.container.count))
            }
        }
        try JSONEncoder().encode(found).write(to: URL(filePath: search.answer))
    }
}

extension CollectionReading.Identity {
    fileprivate init(_ collection: HeapSurvey.Collection) {
        self.init(
            kind: collection.container.kind, owner: collection.owner, type: collection.type,
            elementSize: collection.elementSize,
            address: collection.addresses.count > 1 ? 0 : collection.addresses.first ?? 0)
    }
}
