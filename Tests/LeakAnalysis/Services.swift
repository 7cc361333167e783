import HeapProfile
import TestSupport

#if canImport(Glibc)
    import Glibc
#endif

func logarithm(_ x: Double) -> Double { log(x) }
func exponentiate(_ x: Double) -> Double { exp(x) }

private let megabyte = 1e6

/// A way to leak, or none, beside the healthy memory that every service has.
enum Scenario: String, CaseIterable, Sendable {
    case healthy, pureLeak, splitLeak, insertionLeak, partialLeak, doublingVectors, threadLists, leakSinceDeploy,
        growingArrays
    /// The whole service sits in one function with its leak: start-up table and leak are one site.
    case leakAtStartUpSite

    static let leaks = allCases.filter { $0 != .healthy }

    static let leakingFunction = "UserActivityTracker::record(std::string const&, Event const&)"
}

/// The profile of a simulated service, with the rate at which it really leaks in bytes per second.
struct SimulatedService {
    var profile: HeapProfile
    var symbols: SymbolTable
    var trueRate: Double

    init(_ scenario: Scenario, seed: UInt64, duration: Double, interval: Double = 65_536) {
        var heap = HeapSimulator(seed: seed, duration: duration, interval: interval)
        heap.addHealthyNeighbours()
        let rate = (2 + 3 * heap.unit()) * megabyte
        trueRate = heap.addLeak(scenario, rate: rate)
        (profile, symbols) = heap.finish()
    }
}

extension HeapSimulator {
    /// A start-up table and a full cache, both larger than any leak here is after 15 s, request buffers and queues.
    mutating func addHealthyNeighbours() {
        let table = addSite(["operator new(unsigned long)", "ProductCatalogue::load()", "main"])
        stream(table, rate: 60 * megabyte, size: 480, from: 0, to: 1.5)

        // Full after 3 to 5 seconds. What is used again stays longer: lifetimes have a tail.
        let cache = addSite([
            "operator new(unsigned long)", "std::list<Session>::emplace_front()", "SessionCache::use(unsigned int)",
            "main",
        ])
        let filled = 3 + 2 * unit()
        let lifetime = { (birth: Double, heap: inout HeapSimulator) in
            max(filled - birth, 0.7 * filled) + heap.exponential(0.6 * filled)
        }
        let rate = 64 * megabyte / filled
        stream(cache, rate: rate, size: 2000, from: 0, to: filled, lifetime: lifetime)
        stream(cache, rate: rate / 1.3, size: 2000, from: filled, lifetime: lifetime)

        let buffers = addSite([
            "malloc", "std::vector<char>::vector(unsigned long)", "renderResponse(Product const&)", "main",
        ])
        stream(buffers, rate: 4 * megabyte, size: 8000, from: 0.5) { _, heap in heap.exponential(0.005) }

        addQueue("MailQueue::follow(double)", period: 4)
        addQueue("Backup::enqueue(File const&)", period: 9)

        let connections = addSite(["malloc", "Connection::accept(int)", "main"])
        stream(connections, rate: 0.5 * megabyte, size: 16_000, from: 0.5) { _, heap in heap.exponential(2) }

        let options = addSite(["malloc", "Options::parse(int, char**)", "main"])
        for _ in 0..<50 { allocate(options, size: 40_000, at: 0.01) }
    }

    /// First in, first out; its length is a triangle over time.
    private mutating func addQueue(_ function: String, period: Double) {
        let site = addSite(["malloc", function, "main"])
        stream(site, rate: 2 * megabyte, size: 1000) { birth, _ in
            // In the first half of a period a fifth of what arrives is served, in the second half the rest.
            let place = birth.truncatingRemainder(dividingBy: period)
            let served = place <= period / 10 ? place * 5 : period / 2 + (place - period / 10) / 1.8
            return served - place
        }
    }

    /// - Returns: the true rate.
    mutating func addLeak(_ scenario: Scenario, rate: Double) -> Double {
        let record = Scenario.leakingFunction
        let tail = [record, "Server::handle(Request const&)", "main"]
        switch scenario {
        case .healthy:
            return 0
        case .pureLeak:
            stream(addSite(["malloc", "operator new(unsigned long)"] + tail), rate: rate, size: 144)
            return rate
        case .threadLists:
            stream(addSite(["operator new(unsigned long)"] + tail), rate: rate, size: 144, threads: 16)
            return rate
        case .splitLeak:
            let node = "std::pair<std::__detail::_Node_iterator<int>, bool> std::_Hashtable<int>::_M_emplace(int&&)"
            stream(addSite(["operator new(unsigned long)", node] + tail), rate: rate / 2, size: 64)
            stream(addSite(["malloc", "Event::Event(Event const&)"] + tail), rate: rate / 3, size: 144)
            let other = [record, "Importer::run()", "main"]
            stream(addSite(["operator new(unsigned long)", node] + other), rate: rate / 6, size: 64)
            return rate
        case .insertionLeak:
            // As in redis: node, key and value by a function each, none of which is the one that inserts.
            let blocks = rate / (24 + 40 + 32)
            stream(addSite(["malloc", "Dictionary::addNode()"] + tail), rate: 24 * blocks, size: 24)
            stream(addSite(["malloc", "copyText(char const*)", "keyOf(Event)"] + tail), rate: 40 * blocks, size: 40)
            stream(addSite(["malloc", "Value::wrap(Event)"] + tail), rate: 32 * blocks, size: 32)
            return rate
        case .partialLeak:
            stream(addSite(["malloc", "xmalloc"] + tail), rate: 50 * rate / 6, size: 512) { _, heap in
                heap.unit() < 0.02 ? .infinity : heap.exponential(0.02)
            }
            return rate / 6
        case .doublingVectors:
            return addDoublingVectors(rate: rate, tail: tail)
        case .growingArrays:
            // Events of their own, and the arrays of pointers to them.
            stream(addSite(["swift_allocObject"] + tail), rate: rate * 0.92, size: 144)
            return rate * 0.92 + addDoublingVectors(rate: rate * 0.06, tail: tail)
        case .leakSinceDeploy:
            stream(addSite(["operator new(unsigned long)"] + tail), rate: rate, size: 144, from: duration * 0.3)
            return rate
        case .leakAtStartUpSite:
            let site = addSite(["operator new(unsigned long)"] + tail)
            stream(site, rate: 20 * megabyte, size: 144, from: 0, to: 1)
            stream(site, rate: rate, size: 144)
            return rate
        }
    }

    /// Many users' vectors of events of 144 bytes, each at its own pace, each doubling its storage when it is full.
    private mutating func addDoublingVectors(rate: Double, tail: [String]) -> Double {
        let site = addSite(
            [
                "operator new(unsigned long)", "std::__new_allocator<Event>::allocate(unsigned long, void const*)",
                "void std::vector<Event, std::allocator<Event> >::_M_realloc_insert<Event const&>(Event const&)",
            ] + tail)
        let users = 1000
        let paces = (0..<users).map { _ in exponentiate(-4 * unit()) }
        let eventsPerSecond = rate / 144 / paces.reduce(0, +)
        var live = 0.0
        for pace in paces {
            var capacity = 1.0
            var birth = 1 / (pace * eventsPerSecond)
            while birth < duration {
                let death = (capacity + 1) / (pace * eventsPerSecond)
                allocate(site, size: capacity * 144, at: birth, until: death)
                if death >= duration { live += capacity * 144 }
                (birth, capacity) = (death, capacity * 2)
            }
        }
        return live / duration
    }
}
