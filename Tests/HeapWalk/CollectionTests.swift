import Glibc
import HeapProfile
import HeapWalk
import Symbolication
import TestSupport
import Testing

/// Collections wherever they are: what holds them, how many entries they have, and how that is counted again.
@Suite struct CollectionTests {
    private func collection(_ kind: String, _ owner: String?, in survey: HeapSurvey) -> HeapSurvey.Collection? {
        survey.collections.first { $0.container.kind == kind && $0.owner == owner }
    }

    /// Within 1% of the truth.
    private func isNear(_ count: UInt64, _ truth: UInt64) -> Bool { count <= truth && count >= truth - truth / 100 }

    private static let tracker = """
        struct Base { virtual ~Base() = default; };
        struct Tracker : Base {
            std::list<std::string> recent;
            std::unordered_map<int, std::string> byID;
            std::map<std::string, int> names;
            std::list<int> numbers;
        };
        static Tracker *tracker;
        static std::list<long> plain;
        static void fill(int from, int to) {
            for (int i = from; i < to; i++) {
                tracker->recent.push_back(std::string(40, 'x'));
                if (i % 2) tracker->byID[i] = std::string(60, 'y');
                if (i % 3 == 0) tracker->names["a name that is long enough " + std::to_string(i)] = i;
                tracker->numbers.push_back(i);
                plain.push_back(i);
            }
        }
        """

    @Test func partsOfObjects() throws {
        let program = try WatchedProgram(
            "\(Self.tracker) static void work() { tracker = new Tracker; fill(0, 3000); }")
        let survey = try survey(program)
        let root = survey.roots.firstIndex { $0.name == "tracker" }
        // The list of texts and the one of numbers.
        let lists = survey.collections.filter { $0.container.kind == "std::list" && $0.owner == "Tracker" }
        #expect(lists.map(\.container.count) == [3000, 3000])
        // What freed memory left behind may seem to share one text or another.
        #expect(lists.count == 2 && isNear(lists[0].retainedCount, 6000) && lists[1].retainedCount == 3000)
        let table = try #require(collection("std::unordered_map or set", "Tracker", in: survey))
        // Nodes, their texts and the buckets.
        #expect(table.container.count == 1500 && isNear(table.retainedCount, 3001))
        let tree = try #require(collection("std::map or set", "Tracker", in: survey))
        #expect(tree.container.count == 1000 && isNear(tree.retainedCount, 2000))
        #expect((lists + [table, tree]).allSatisfy { $0.root == root })
        let plain = try #require(survey.roots.first { $0.name == "plain" })
        #expect(plain.container == .init(kind: "std::list", count: 3000) && plain.retainedCount == 3000)
        #expect(survey.leaks.isEmpty && program.end() == 0)
    }

    /// Numbers in lists and trees look like the counts of further collections.
    @Test func numbersThatLookLikeCounts() throws {
        let program = try WatchedProgram(
            """
            static std::list<long> *numbers;
            static std::set<long> tree;
            static std::list<long> few;
            static void work() {
                numbers = new std::list<long>;
                for (int i = 1; i <= 2000; i++) numbers->push_back(i), tree.insert(i);
                few.push_back(1);
            }
            """)
        let survey = try survey(program)
        let counts = survey.collections.filter { !$0.container.kind.contains("vector") }.map(\.container.count)
        #expect(counts.sorted() == [1, 2000])
        #expect(survey.roots.first { $0.name == "tree" }?.retainedCount == 2000)
        #expect(survey.roots.first { $0.name == "few" }?.container?.count == 1)
        // One of a block's very beginning is not told from its own nodes, but nothing of it is lost.
        #expect(survey.roots.first { $0.name == "numbers" }?.retainedCount == 2001)
    }

    /// While the program runs, and after the collections have grown, were emptied, and went.
    @Test func countedAgain() throws {
        let program = try WatchedProgram(
            """
            \(Self.tracker)
            static void work() {
                tracker = new Tracker;
                fill(0, 3000);
            }
            void command(char command) {
                if (command == 'g') fill(3000, 9000);
                if (command == 'c') tracker->byID.clear(), tracker->names.clear(), tracker->recent.clear();
            }
            """)
        let survey = try survey(program)
        let kinds = ["std::unordered_map or set", "std::map or set", "std::list"]
        let found = kinds.compactMap { collection($0, "Tracker", in: survey) }
        #expect(found.count == 3)
        func counts() -> [UInt64?] {
            guard var counter = CollectionCounter(program.pid) else { return [] }
            return found.map { counter.count(kind: $0.container.kind, type: $0.type, at: $0.addresses[0]) }
        }
        #expect(counts() == [1500, 1000, 3000])
        try program.say("g")
        #expect(counts() == [4500, 3000, 9000])
        try program.say("c")
        #expect(counts() == [0, 0, 0])
        #expect(program.end() == 0)
        #expect(CollectionCounter(program.pid) == nil)
    }

    /// Many vectors of different lengths tell the size of their elements, and debug information that of a variable.
    @Test func vectors() throws {
        let program = try WatchedProgram(
            """
            struct Event { long id; char body[40]; };
            static std::unordered_map<int, std::vector<Event>> byUser;
            static std::vector<int> numbers;
            thread_local std::vector<Event> mine;
            static void fill(int rounds) {
                for (int i = 0; i < 1000; i++)
                    for (int k = 0; k < (1 + i % 37) * rounds; k++) byUser[i].push_back(Event{i});
                for (int i = 0; i < 5000 * rounds; i++) numbers.push_back(i), mine.push_back(Event{i});
            }
            static void work() { fill(1); }
            void command(char) { fill(2); }
            """, flags: ["-O1", "-g"])
        let survey = try survey(program)
        let users = try #require(survey.roots.firstIndex { $0.name == "byUser" })
        #expect(survey.roots[users].type == "std::unordered_map<int, std::vector<Event>>")
        #expect(survey.roots[users].container?.count == 1000)
        let inner = survey.collections.filter { $0.root == users }
        // What freed memory left behind may seem to share one or another.
        let events = try #require(inner.first { $0.instances >= 990 }, "\(inner)")
        let total = (0..<1000).reduce(0) { $0 + 1 + $1 % 37 }
        #expect(events.elementSize == 48 && events.container.kind == "std::vector")
        #expect(isNear(events.container.count, UInt64(total)))
        let numbers = try #require(survey.roots.first { $0.name == "numbers" })
        #expect(numbers.type == "std::vector<int>" && numbers.container?.count == 5000)
        let mine = try #require(survey.roots.first { $0.name == "mine" && $0.kind == .threadLocal })
        #expect(mine.type == "std::vector<Event>" && mine.container?.count == 5000)
        try program.say("g")
        var counter = try #require(CollectionCounter(program.pid))
        let counts = events.addresses.compactMap {
            counter.count(kind: "std::vector", type: nil, elementSize: 48, at: $0)
        }
        #expect(counts.count == events.addresses.count && counts.allSatisfy { $0 % 3 == 0 && $0 > 0 })
    }

    /// Queues of several lengths, one of which once was longer.
    @Test func deques() throws {
        let program = try WatchedProgram(
            """
            #include <deque>
            #include <queue>
            struct Event { long id; char *body; long size; };
            struct Worker { virtual ~Worker() = default; std::queue<Event> jobs; };
            static std::deque<Event> log;
            static std::vector<Worker *> workers;
            static std::deque<int> numbers;
            static void fill(int count) {
                for (int i = 0; i < count; i++) log.push_back(Event{i, (char *)malloc(40), 40});
                for (int i = 0; i < count; i++) {
                    numbers.push_back(i);
                    if (i >= 700) numbers.pop_front();
                }
                for (int i = 0; i < 20; i++) {
                    if (workers.size() < 20) workers.push_back(new Worker);
                    for (int k = 0; k < 100 + 7 * i; k++) workers[i]->jobs.push(Event{});
                }
            }
            static void work() { fill(10000); }
            void command(char) { fill(5000); }
            """, flags: ["-O1", "-g"])
        let survey = try survey(program)
        let log = try #require(survey.roots.first { $0.name == "log" })
        #expect(log.container == .init(kind: "std::deque", count: 10_000) && log.type == "std::deque<Event>")
        // 21 events a node, and the map.
        #expect(isNear(log.retainedCount, 10_000 + 477 + 1), "\(log)")
        let numbers = try #require(survey.roots.first { $0.name == "numbers" })
        #expect(numbers.container == .init(kind: "std::deque", count: 700))
        let jobs = try #require(collection("std::deque", "Worker", in: survey))
        let total: UInt64 = 20 * 100 + 7 * 190
        #expect(jobs.instances == 20 && jobs.elementSize == 24 && jobs.container.count == total)
        try program.say("g")
        var counter = try #require(CollectionCounter(program.pid))
        let counts = jobs.addresses.compactMap { counter.count(kind: "std::deque", type: nil, elementSize: 24, at: $0) }
        #expect(counts.reduce(0, +) == 2 * total)
    }

    private static let libcxx = Products.path("libcxx/usr/lib/llvm-14")

    /// libc++'s, linked statically.
    @Test(.enabled(if: access(libcxx, F_OK) == 0, "Tests/run.sh unpacks libc++"))
    func libcxxCollections() throws {
        let program = try WatchedProgram(
            """
            #include <deque>
            static std::map<std::string, int> tree;
            static std::unordered_map<int, std::string> table;
            static std::list<long> list;
            static std::deque<long> queue;
            static std::vector<std::string> names;
            static void work() {
                for (int i = 0; i < 3000; i++) {
                    tree["a name that is long enough " + std::to_string(i)] = i;
                    table[i] = std::string(60, 'y');
                    list.push_back(i);
                    queue.push_back(i);
                    if (i > 2000) queue.pop_front();
                    names.push_back(std::string(50, 'z'));
                }
            }
            """, flags: ["-O1", "-g"], libcxx: Self.libcxx)
        let survey = try survey(program)
        func container(_ name: String) -> HeapSurvey.Container? { survey.roots.first { $0.name == name }?.container }
        #expect(container("tree") == .init(kind: "std::__1::map or set", count: 3000))
        #expect(container("table")?.kind == "std::unordered_map or set" && container("table")?.count == 3000)
        #expect(container("list") == .init(kind: "std::list", count: 3000))
        #expect(container("queue") == .init(kind: "std::__1::deque", count: 2001))
        #expect(container("names") == .init(kind: "std::vector", count: 3000, capacity: 4096))
        let texts = try #require(survey.texts)
        #expect(
            (8900...9200).contains(texts.count) && texts.largest.map(\.count).prefix(2).allSatisfy { isNear($0, 3000) })
        #expect(survey.leaks.isEmpty, "\(survey.leaks)")
    }

    @Test func swiftCollections() throws {
        let program = try WatchedProgram(
            swift: """
                final class Event { let user: Int; init(_ user: Int) { self.user = user } }
                final class Tracker {
                    var byUser: [Int: [Event]] = [:]
                    var seen: Set<String> = []
                    nonisolated(unsafe) static let shared = Tracker()
                }
                nonisolated(unsafe) var log: [Event] = []
                func fill(_ users: Range<Int>) {
                    for user in users {
                        for _ in 0..<3 { Tracker.shared.byUser[user, default: []].append(Event(user)) }
                        Tracker.shared.seen.insert("a text that needs a storage \\(user)")
                        log.append(Event(user))
                    }
                }
                fill(0..<5000)
                ready()
                while let line = readLine() {
                    if line == "g" { fill(5000..<20_000) }
                    if line == "c" { Tracker.shared.byUser = [:]; log = [] }
                    ready()
                }
                """)
        let survey = try survey(program)
        let byUser = try #require(collection("Dictionary", "program.Tracker", in: survey))
        #expect(byUser.container.count == 5000 && byUser.type == "Swift._DictionaryStorage<Swift.Int, Swift.Array>")
        // Its storage, the arrays, and the events.
        #expect(byUser.retainedCount == 20_001)
        let arrays = try #require(collection("Array", byUser.type, in: survey))
        // One may be in a register, too.
        #expect(isNear(arrays.container.count, 15_000) && isNear(arrays.retainedCount, 20_000), "\(arrays)")
        #expect(arrays.addresses.count > 16 && arrays.addresses.count <= 64 && arrays.root == byUser.root)
        let seen = try #require(collection("Set", "program.Tracker", in: survey))
        #expect(seen.container.count == 5000 && isNear(seen.retainedCount, 5001), "\(seen)")
        let log = try #require(survey.collections.first { $0.container.kind == "Array" && $0.owner == nil })
        #expect(log.container.count == 5000 && log.root.map { survey.roots[$0].name } == "log")
        #expect(byUser.root.map { survey.roots[$0].name } == "static Tracker.shared")
        func counts() -> [UInt64?] {
            guard var counter = CollectionCounter(program.pid) else { return [] }
            return [byUser, seen, log].map {
                counter.count(kind: $0.container.kind, type: $0.type, at: $0.addresses[0])
            }
        }
        #expect(counts() == [5000, 5000, 5000])
        try program.say("g")
        #expect(counts() == [20_000, 20_000, 20_000])
        try program.say("c")
        #expect(counts() == [0, 20_000, 0])
        #expect(program.end() == 0)
    }

    /// A weak reference does not hold its object, and a cycle is told with the way around.
    @Test func weakReferencesAndCycles() throws {
        let program = try WatchedProgram(
            swift: """
                final class Session { var onEnd: (() -> Void)?; var text = "a text that needs a storage \\(Int.random(in: 0..<9))" }
                final class Observer { weak var session: Session?; init(_ session: Session) { self.session = session } }
                final class Kept { var text = "another one that needs a storage \\(Int.random(in: 0..<9))" }
                final class Looker { weak var kept: Kept?; init(_ kept: Kept) { self.kept = kept } }
                nonisolated(unsafe) var observers: [Observer] = []
                nonisolated(unsafe) var lookers: [Looker] = []
                nonisolated(unsafe) var kept: [Kept] = []
                @inline(never) func plant() {
                    for _ in 0..<40 {
                        let session = Session()
                        let observer = Observer(session)
                        session.onEnd = { session.text += "x"; print(observer) }
                        observers.append(Observer(session))
                    }
                    for _ in 0..<60 { let one = Kept(); kept.append(one); lookers.append(Looker(one)) }
                }
                plant()
                ready()
                _ = readLine()
                """)
        let survey = try survey(program)
        let leak = try #require(survey.leaks.first)
        #expect(survey.leaks.count == 1, "\(survey.leaks)")
        #expect(leak.isCycle && leak.heads == 40)
        #expect(
            Set(leak.way) == ["program.Session", "Swift closure context or box of program.Session, program.Observer"],
            "\(leak.way)")
        // Each with the text, and none of them by way of those that only look at them.
        #expect(survey.roots.first { $0.name == "kept" }?.retainedCount == 121)
        #expect(program.end() == 0)
    }

    @Test(.enabled(if: findProgram("rustc") != nil, "no rustc here"))
    func rustCollections() throws {
        let program = try WatchedProgram(
            rust: """
                use std::cell::RefCell;
                use std::collections::{HashMap, VecDeque};
                use std::io::{BufRead, Write};
                use std::sync::Mutex;
                static EVENTS: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);
                static QUEUE: Mutex<VecDeque<Box<[u8; 300]>>> = Mutex::new(VecDeque::new());
                thread_local! { static MINE: RefCell<Vec<Box<[u8; 100]>>> = RefCell::new(Vec::new()); }
                fn fill(users: std::ops::Range<usize>) {
                    let mut guard = EVENTS.lock().unwrap();
                    let map = guard.get_or_insert_with(HashMap::new);
                    for user in users {
                        map.entry(format!("user {user}")).or_default().push(format!("event of {user}"));
                    }
                }
                fn main() {
                    fill(0..5000);
                    for _ in 0..700 { QUEUE.lock().unwrap().push_back(Box::new([7; 300])); }
                    MINE.with(|mine| for _ in 0..1000 { mine.borrow_mut().push(Box::new([7; 100])) });
                    println!("ready");
                    std::io::stdout().flush().unwrap();
                    for line in std::io::stdin().lock().lines() {
                        if line.unwrap() == "g" { fill(5000..20000); }
                        println!("ready");
                    }
                }
                """)
        let survey = try survey(program)
        let events = try #require(survey.roots.first { $0.name.hasSuffix("EVENTS") })
        #expect(events.container?.kind == "HashMap or HashSet" && events.container?.count == 5000)
        // The table; of each entry the name, the vector and the text.
        #expect(events.retainedCount == 15_001)
        let map = try #require(survey.collections.first { $0.container.kind == "HashMap or HashSet" })
        let vectors = try #require(survey.collections.first { $0.owner == "HashMap or HashSet" })
        // Now and then something else looks like one.
        #expect(vectors.container.kind == "Vec" && (4950...5050).contains(vectors.instances))
        #expect((4950...5050).contains(vectors.container.count))
        let queue = try #require(survey.roots.first { $0.name.hasSuffix("QUEUE") })
        #expect(queue.container == .init(kind: "VecDeque", count: 700, capacity: 1024) && queue.retainedCount == 701)
        let mine = try #require(survey.collections.first { $0.container.count == 1000 })
        #expect(mine.container == .init(kind: "Vec", count: 1000, capacity: 1024) && mine.instances == 1)
        #expect(
            mine.root.map { survey.roots[$0].name.contains("MINE") } == true && mine.retainedCount == 1001, "\(mine)")
        #expect(survey.leaks.isEmpty, "\(survey.leaks)")
        try program.say("g")
        var counter = try #require(CollectionCounter(program.pid))
        #expect(counter.count(kind: map.container.kind, type: map.type, at: map.addresses[0]) == 20_000)
        #expect(program.end() == 0)
    }

    /// Texts that are there several times, and room that nobody uses.
    @Test func waste() throws {
        let program = try WatchedProgram(
            """
            struct Event { virtual ~Event() = default; std::string region; std::vector<long> room; };
            static std::vector<Event *> events;
            static void work() {
                for (int i = 0; i < 1000; i++) {
                    events.push_back(new Event);
                    events.back()->region = "the region that all of them are in, eu-central";
                    events.back()->room.reserve(100);
                    events.back()->room.resize(1 + i % 13);
                }
                static std::vector<std::string> names;
                for (int i = 0; i < 500; i++) names.push_back("a name that nobody else has " + std::to_string(i));
            }
            """)
        let survey = try survey(program)
        let texts = try #require(survey.texts)
        #expect(texts.count >= 1500 && texts.count < 1510)
        let copies = try #require(texts.largest.first)
        #expect(copies.count == 1000 && copies.length == 46 && copies.owner == "Event")
        #expect(texts.largest.filter { $0.count > 1 }.count <= 2)
        #expect(texts.duplicateBytes >= 999 * 48 && texts.duplicateBytes < 999 * 72)
        let room = try #require(survey.collections.first { $0.owner == "Event" && $0.instances == 1000 })
        #expect(room.elementSize == 8 && room.container.capacity == 100_000)
        #expect(Double(room.unusedBytes) > 0.9 * 800_000 && room.unusedBytes < 808_000)
    }

    @Test func wasteInSwift() throws {
        let program = try WatchedProgram(
            swift: """
                final class Event { let text: String; init(_ text: String) { self.text = text } }
                nonisolated(unsafe) var events: [Event] = []
                nonisolated(unsafe) var room: [Int] = []
                let parts = CommandLine.arguments.count
                for i in 0..<1000 {
                    events.append(Event("the region that all of them are in \\(parts)"))
                    events.append(Event("a text that nobody else has \\(i)"))
                }
                room.reserveCapacity(100_000)
                room.append(7)
                ready()
                _ = readLine()
                """)
        let survey = try survey(program)
        let texts = try #require(survey.texts)
        #expect(texts.count >= 2000 && texts.count < 2100)
        let copies = try #require(texts.largest.first)
        #expect(copies.count == 1000 && copies.owner == "program.Event")
        let room = try #require(survey.collections.first { $0.container.count == 1 && $0.unusedBytes > 799_000 })
        #expect(room.root.map { survey.roots[$0].name } == "room")
    }

    /// What one asks a snapshot for.
    @Test func questions() throws {
        let program = try WatchedProgram(
            "\(Self.tracker) static void work() { tracker = new Tracker; fill(0, 3000); }")
        let path = program.folder.file("held.heaptide")
        let taken = try run(Products.heaptide, ["snapshot", "\(program.pid)", "--output", path, "--heap"])
        #expect(taken.status == 0, "\(taken.errors)")
        let root = try run(Products.heaptide, ["analyze", path, "--root", "tracker"])
        #expect(root.status == 0 && root.output.contains("std::list of 3,000 entries"), "\(root)")
        let address = root.output.firstMatch(of: /Tracker at (0x[0-9a-f]+)/).map { String($0.output.1) }
        let object = try run(Products.heaptide, ["analyze", path, "--object", try #require(address)])
        #expect(object.output.contains("held by tracker"), "\(object)")
        let type = try run(Products.heaptide, ["analyze", path, "--type", "Tracker", "--format", "json"])
        #expect(type.output.contains("\"owner\": \"Tracker\""), "\(type)")
        let none = try run(Products.heaptide, ["analyze", path, "--root", "nobody"])
        #expect(none.status == 3 && none.errors.split(separator: "\n").count == 1 && none.output.isEmpty)
        let wrong = try run(Products.heaptide, ["analyze", path, "--object", "there"])
        #expect(wrong.status == 2)
        let two = try run(Products.heaptide, ["analyze", path, "--object", "0x10", "--root", "tracker"])
        #expect(two.status == 2)
        let report = try run(Products.heaptide, ["analyze", path]).output
        #expect(report.contains("by way of Tracker") && report.contains("tracker : Tracker *, in Tracker"), "\(report)")
    }
}
