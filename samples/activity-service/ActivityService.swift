import Glibc
import Synchronization

/// A service that answers simulated requests and tracks what its users do.
@main
struct ActivityService {
    static func main() async throws {
        do {
            guard let options = try Options.parse(CommandLine.arguments.dropFirst()) else { return say(Options.help) }
            await Service(options).run()
        } catch is Options.Misuse {
            say(Options.help, to: STDERR_FILENO)
            exit(2)
        }
    }
}

/// Somebody asked the service to end.
private let stopRequested = Atomic<Bool>(false)

private final class Service: Sendable {
    static let requestsPerSecond = 10_000.0
    static let users = 1_000.0
    static let sessions = 40_000

    let options: Options
    let catalogue = ProductCatalogue()
    let sessionCache = Mutex(SessionCache())
    let mailQueue = Mutex(MailQueue())
    let start = ContinuousClock.now

    init(_ options: Options) {
        self.options = options
        if !options.leak { UserActivityTracker.eventsKept.store(20, ordering: .relaxed) }
    }

    /// Serves until the time is up or somebody asks to stop, and prints every second, and at the end, what the tracker
    /// holds.
    func run() async {
        stopRequested.store(false, ordering: .relaxed)
        for number in [SIGTERM, SIGINT] { signal(number) { _ in stopRequested.store(true, ordering: .relaxed) } }

        await withTaskGroup { group in
            for worker in 1...options.threads { group.addTask { await self.serve(worker) } }
            var second = 0.0
            while !stops {
                second += 1
                try? await Task.sleep(until: start + .seconds(second))
                printTruth()
                if options.duration > 0, second >= options.duration {
                    stopRequested.store(true, ordering: .relaxed)
                }
            }
        }
        printTruth()
    }

    /// One worker's share of the traffic. What is due follows from the clock alone: whatever came late is made up
    /// for, so that the rate holds exactly.
    private func serve(_ worker: Int) async {
        let requestRate = Self.requestsPerSecond / Double(options.threads)
        let eventsPerRequest = options.rate / Double(Event.bytes) / Self.requestsPerSecond
        var random = Xorshift(seed: UInt64(worker))
        var (requests, events) = (0.0, 0.0)
        while !stops {
            let due = (elapsed * requestRate).rounded(.down)
            while requests < due, !stops {
                requests += 1
                handleRequest(&random)
                while events < requests * eventsPerRequest {
                    events += 1
                    trackUser(&random)
                }
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    private func handleRequest(_ random: inout Xorshift) {
        let now = elapsed
        _ = sessionCache.withLock { $0.use(Int.random(in: 0..<Self.sessions, using: &random)) }
        let product = catalogue.find(Int.random(in: 0..<1_000_000, using: &random))
        _ = renderResponse(product, size: Int.random(in: 1_000..<16_000, using: &random))
        mailQueue.withLock { $0.follow(seconds: now) }
    }

    /// A few users do most of what is done.
    private func trackUser(_ random: inout Xorshift) {
        let share = Double.random(in: 0..<1, using: &random)
        let user = Int(Self.users * share * share)
        UserActivityTracker.record(user: "user-\(user)", action: "view", time: elapsed)
    }

    private func printTruth() {
        let truth = UserActivityTracker.truth()
        say("seconds=\(elapsed) events=\(truth.events) tracker_bytes=\(truth.bytes)\n")
    }

    private var elapsed: Double { (ContinuousClock.now - start) / .seconds(1) }
    private var stops: Bool { stopRequested.load(ordering: .relaxed) }
}

/// Marsaglia, "Xorshift RNGs", 2003: every run sees the same traffic.
private struct Xorshift: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

/// Writes at once, as a pipe's reader wants to see each line when it is true.
private func say(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
    var text = text
    text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
}
