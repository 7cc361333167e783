// See known-graphs.py.
import Foundation
import Glibc
import Synchronization

final class Event {
    let id: Int
    let body: InlineArray<15, UInt64> = .init(repeating: 7)
    init(_ id: Int) { self.id = id }
}

final class Lost {
    var next: Lost?
    weak var known: Lost?
    let body: InlineArray<8, UInt64> = .init(repeating: 1)
}

/// What it refers to weakly is not lost by that, and not held.
final class Observer { weak var seen: Event? }

enum Tracker {
    nonisolated(unsafe) static var eventCache: [Int: [Event]] = [:]
    nonisolated(unsafe) static var observers: [Observer] = []
}

let users = 5000
let each = 40
let threads = 4
let own = 3000
let lost = 700
let cycles = 60
let stray = 100
nonisolated(unsafe) var someBlocks: [UInt] = []
let ready = DispatchSemaphore(value: 0)

@_silgen_name("malloc_usable_size") func usableSize(_ block: UnsafeMutableRawPointer) -> Int

func usable(_ object: AnyObject) -> Int { usableSize(Unmanaged.passUnretained(object).toOpaque()) }
func usable<Element>(_ array: [Element]) -> Int {
    array.withUnsafeBufferPointer { usableSize(UnsafeMutableRawPointer(mutating: $0.baseAddress!) - 32) }
}

/// Fills the map, and tells how many bytes its entries take; its storage comes on top.
func fill() -> Int {
    for user in 0..<users {
        for i in 0..<each { Tracker.eventCache[user, default: []].append(Event(i)) }
        let observer = Observer()
        observer.seen = Tracker.eventCache[user]?.first
        Tracker.observers.append(observer)
        if user % 50 == 0 {
            someBlocks.append(UInt(bitPattern: Unmanaged.passUnretained(Tracker.eventCache[user]![1]).toOpaque()))
        }
    }
    return Tracker.eventCache.values.reduce(0) { sum, events in
        sum + usable(events) + events.reduce(0) { $0 + usable($1) }
    }
}

/// So that they are needed.
nonisolated(unsafe) var sink: UInt = 0

@inline(never) func lose() {
    for i in 0..<lost { sink ^= UInt(bitPattern: Unmanaged.passRetained(Event(i)).toOpaque()) }
    for _ in 0..<cycles {
        let (a, b, c) = (Lost(), Lost(), Lost())
        (a.next, b.next, c.next) = (b, c, a)
        a.known = c
    }
}

@inline(never) func wipe() {
    withUnsafeTemporaryAllocation(byteCount: 1 << 15, alignment: 16) { room in
        room.initializeMemory(as: UInt8.self, repeating: 0)
        write(-1, room.baseAddress, room.count)
    }
}

@Sendable func work() {
    withUnsafeTemporaryAllocation(of: UInt.self, capacity: stray) { words in
        for i in 0..<stray { words.initializeElement(at: i, to: someBlocks[i % someBlocks.count]) }
        write(-1, words.baseAddress, 8)
        Thread.current.threadDictionary["recent"] = (0..<own).map(Event.init)
        ready.signal()
        while true { pause() }
    }
}

let loses = CommandLine.arguments.count < 2
let bytes = fill()
if loses { lose() }
wipe()
for _ in 0..<threads { Thread.detachNewThread(work) }
for _ in 0..<threads { ready.wait() }
// 8 buckets for 6 entries, of a key and an array, with a bit for each.
var buckets = 1
while buckets * 3 / 4 < users { buckets *= 2 }
print(
    """
    {"holder": "Tracker.eventCache", "container": "Dictionary", "count": \(users), \
    "bytes": \(bytes + buckets * 16 + buckets / 8 + 64), "own": null, "owners": 0, "ownBlocks": 0, \
    "lost": \(loses ? lost : 0), "inCycles": \(loses ? 3 * cycles : 0)}
    """)
fflush(stdout)
_ = readLine()
