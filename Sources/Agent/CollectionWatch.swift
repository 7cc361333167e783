import AgentCore
import HeapWalk

/// Counts the entries of a process's large collections every five seconds. The process does not stand still for it, and
/// one of them costs some microseconds.
struct CollectionWatch {
    private var found: [FoundCollection]
    private let pid: Int32
    private var next = 0.0
    private var firstReadings: [CollectionReading]?
    private static let period = 5.0

    /// In place of `old`, whose samples are counted once more: what they are off by is known now.
    init(_ found: [FoundCollection], of pid: Int32, after old: CollectionWatch?) {
        self.found = found
        self.pid = pid
        guard var counter = CollectionCounter(pid) else { return }
        var old = old?.pid == pid ? old : nil
        firstReadings = counts(&counter).inPlace(of: old?.counts(&counter) ?? [])
    }

    /// Nil where it is not time yet, or the process has ended. What can no longer be counted is left out; of a sample for
    /// good, with its entries: what lies there later is another one, and no growth.
    mutating func counted(_ now: Double) -> Observation.Event? {
        guard now >= next else { return nil }
        next = now + Self.period
        if let firstReadings = firstReadings.take() { return .counted(firstReadings, of: pid) }
        guard var counter = CollectionCounter(pid) else { return nil }
        return .counted(counts(&counter), of: pid)
    }

    private mutating func counts(_ counter: inout CollectionCounter) -> [CollectionReading] {
        found.indices.compactMap { index in
            let collection = found[index]
            let identity = collection.identity
            func count(_ address: UInt64) -> UInt64? {
                counter.count(
                    kind: identity.kind, type: identity.type, elementSize: identity.elementSize, at: address)
            }
            // Once more what was changed in the midst of reading.
            let counts = collection.addresses.map { count($0) ?? count($0) }
            let entries = counts.compactMap(\.self)
            if identity.isSample {
                found[index].addresses = zip(collection.addresses, counts).compactMap { $1 == nil ? nil : $0 }
            }
            guard !entries.isEmpty else { return nil }
            return CollectionReading(
                identity: identity, title: collection.title, isHeld: collection.isHeld,
                bytesPerEntry: collection.bytesPerEntry,
                count: entries.reduce(0) { $0 + Double($1) } * collection.scale)
        }
    }
}
