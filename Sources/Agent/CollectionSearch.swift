import FoundationEssentials
import Glibc
import HeapProfile
import LeakAnalysis

/// A collection whose entries can be counted while the process runs, or several that are counted as one.
struct FoundCollection: Codable {
    var title: String
    var kind: String
    /// Type of the object that it is a part of.
    var owner: String?
    /// Entries that each one stands for that is counted at one of the addresses: large ones grow more than small ones.
    var scale: Double
    /// Of a vector.
    var elementSize: UInt64?
    /// Type of a Swift collection's storage.
    var type: String?
    /// Of some of them.
    var addresses: [UInt64]
    /// Several that stand for all of their kind.
    var isSample: Bool
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
        let found = survey.collections.filter { $0.sampledCount > 0 }.prefix(most).map { collection in
            FoundCollection(
                title: survey.title(of: collection), kind: collection.container.kind, owner: collection.owner,
                scale: Double(collection.container.count) / Double(max(1, collection.sampledCount)),
                elementSize: collection.elementSize, type: collection.type,
                addresses: collection.addresses, isSample: collection.addresses.count > 1,
                bytesPerEntry: Double(collection.retainedBytes) / Double(collection.container.count))
        }
        try JSONEncoder().encode(Array(found)).write(to: URL(filePath: search.answer))
    }
}
