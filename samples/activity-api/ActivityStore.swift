/// What one user did.
final class Event: Encodable, Sendable {
    let id: Int
    let action: String
    let page: String
    let client = "browser"
    let region = "eu-central"
    let milliseconds = 12.5

    init(id: Int, _ activity: Activity) {
        self.id = id
        action = activity.action
        page = activity.page
    }
}

/// Remembers what every user did, and this is the leak: without a bound, nothing ever takes an event out again.
actor ActivityStore {
    private var eventsOfUser: [String: [Event]] = [:]
    private let eventsKeptOfUser: Int
    private let journal = Journal()

    /// Events appended since the start.
    private(set) var recorded = 0

    /// Events held now.
    var kept: Int { eventsOfUser.values.reduce(0) { $0 + $1.count } }

    init(eventsKeptOfUser: Int) { self.eventsKeptOfUser = eventsKeptOfUser }

    /// Async, and not only for its caller: what it allocates after the journal answered has no caller on the stack.
    func append(_ activity: Activity, of user: String) async {
        recorded += 1
        let event = Event(id: recorded, activity)
        await journal.write("\(event.id) \(user) \(event.action) \(event.page)")
        eventsOfUser[user, default: []].append(event)
        if eventsOfUser[user, default: []].count > eventsKeptOfUser { eventsOfUser[user]?.removeFirst() }
    }

    func newest(_ count: Int, of user: String) -> [Event] { eventsOfUser[user]?.suffix(count) ?? [] }
}

/// The newest 1,000 lines: healthy.
actor Journal {
    private var lines = [String](repeating: "", count: 1_000)
    private var next = 0

    func write(_ line: String) {
        lines[next] = line
        next = (next + 1) % lines.count
    }
}
