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

    /// Events appended since the start.
    private(set) var recorded = 0

    /// Events held now.
    var kept: Int { eventsOfUser.values.reduce(0) { $0 + $1.count } }

    init(eventsKeptOfUser: Int) { self.eventsKeptOfUser = eventsKeptOfUser }

    func append(_ activity: Activity, of user: String) {
        recorded += 1
        eventsOfUser[user, default: []].append(Event(id: recorded, activity))
        if eventsOfUser[user, default: []].count > eventsKeptOfUser { eventsOfUser[user]?.removeFirst() }
    }

    func newest(_ count: Int, of user: String) -> [Event] { eventsOfUser[user]?.suffix(count) ?? [] }
}
