import Synchronization

/// What one user did at one moment.
final class Event: Sendable {
    let id: UInt64
    let time: Double
    let action: String
    let page: String
    let referrer: String
    let client: String
    let region: String
    let session: String
    let milliseconds: Double
    let bytesSent: Int

    /// What an instance asks the allocator for: the object's header and the fields above.
    static let bytes = 16 + 4 * 8 + 6 * 16

    init(id: UInt64, time: Double, action: String) {
        self.id = id
        self.time = time
        self.action = action
        page = "/products"
        referrer = "/"
        client = "browser"
        region = "eu-central"
        session = "open"
        milliseconds = 12.5
        bytesSent = 8_000
    }
}

/// Remembers what every user did, and this is the leak: nothing ever takes an event out again.
enum UserActivityTracker {
    static let eventCache = Mutex<[String: [Event]]>([:])

    /// Newest events kept of each user. The fixed service sets a bound.
    static let eventsKept = Atomic<Int>(.max)

    @inline(never)
    static func record(user: String, action: String, time: Double) {
        let event = Event(id: nextID.wrappingAdd(1, ordering: .relaxed).newValue, time: time, action: action)
        let limit = eventsKept.load(ordering: .relaxed)
        eventCache.withLock { cache in
            cache[user, default: []].append(event)
            if cache[user, default: []].count > limit { cache[user, default: []].removeFirst() }
        }
    }

    /// What the tracker holds: its events, and the bytes that they and the arrays around them requested from the
    /// allocator. Takes a time that grows with the number of users, so ask once a second.
    static func truth() -> (events: Int, bytes: Int) {
        eventCache.withLock { cache in
            cache.values.reduce(into: (events: 0, bytes: 0)) { sum, events in
                sum.events += events.count
                sum.bytes += events.count * Event.bytes + arrayHeader + events.capacity * MemoryLayout<Event>.stride
            }
        }
    }

    private static let nextID = Atomic<UInt64>(0)
    private static let arrayHeader = 32
}
