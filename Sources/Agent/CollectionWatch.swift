import AgentCore
import HeapWalk

/// Counts the entries of a process's large collections every five seconds. The process does not stand still for it, and
/// one of them costs some microseconds.
struct CollectionWatch {
    private let found: [FoundCollection]
    let pid: Int32
    private var next = 0.0
    private static let period = 5.0

    init(_ found: [FoundCollection], of pid: Int32) {
        self.found = found
        self.pid = pid
    }

    /// Nil where it is not time yet. What can no longer be counted is left out.
    mutating func readings(_ now: Double) -> [CollectionReading]? {
        guard now >= next else { return nil }
        next = now + Self.period
        guard var counter = CollectionCounter(pid) else { return [] }
        return found.compactMap { collection in
            let counts = collection.addresses.compactMap {
                counter.count(
                    kind: collection.kind, type: collection.type, elementSize: collection.elementSize, at: $0)
            }
            // One that is gone takes its entries along.
            guard let first = collection.addresses.first, !counts.isEmpty else { return nil }
            return CollectionReading(
                title: collection.title, kind: collection.kind, address: collection.addresses.count == 1 ? first : 0,
                bytesPerEntry: collection.bytesPerEntry, count: counts.reduce(0) { $0 + Double($1) } * collection.scale)
        }
    }
}
