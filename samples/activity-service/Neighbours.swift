import Synchronization

// Healthy memory of the kinds that a leak hides behind.

/// Loaded at the start and kept for ever: 100,000 products of 480 bytes, 48 MB.
struct ProductCatalogue: Sendable {
    private let products: [[UInt8]]

    init() {
        products = (0..<100_000).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 448) }
    }

    func find(_ id: Int) -> [UInt8] { products[id % products.count] }
}

/// Keeps the 20,000 sessions used last, 2 KB each: full after three seconds of traffic, and always changing.
struct SessionCache {
    static let capacity = 20_000

    /// A link of the list that runs from the session used last to the one that has to go first.
    private struct Slot {
        var id: Int
        var state: [UInt8]
        var newer: Int
        var older: Int
    }

    private var slots: [Slot] = []
    private var slotOfSession: [Int: Int] = [:]
    private var newest = -1
    private var oldest = -1

    init() {
        slots.reserveCapacity(Self.capacity)
        slotOfSession.reserveCapacity(Self.capacity)
    }

    /// Length of the session's state.
    mutating func use(_ id: Int) -> Int {
        let slot = slotOfSession[id] ?? load(id)
        if slot != newest {
            unlink(slot)
            pushFront(slot)
        }
        return slots[slot].state.count
    }

    private mutating func load(_ id: Int) -> Int {
        let state = [UInt8](repeating: 1, count: 2_000)
        if slots.count < Self.capacity {
            slots.append(Slot(id: id, state: state, newer: -1, older: -1))
            slotOfSession[id] = slots.count - 1
            pushFront(slots.count - 1)
            return slots.count - 1
        }
        let slot = oldest
        slotOfSession[slots[slot].id] = nil
        slotOfSession[id] = slot
        slots[slot].id = id
        slots[slot].state = state
        return slot
    }

    private mutating func unlink(_ slot: Int) {
        let (newer, older) = (slots[slot].newer, slots[slot].older)
        if newer >= 0 { slots[newer].older = older } else { newest = older }
        if older >= 0 { slots[older].newer = newer } else { oldest = newer }
    }

    private mutating func pushFront(_ slot: Int) {
        slots[slot].newer = -1
        slots[slot].older = newest
        if newest >= 0 { slots[newest].newer = slot } else { oldest = slot }
        newest = slot
    }
}

/// Letters that wait to be sent: the queue grows for two seconds and is worked off in the next two.
struct MailQueue {
    private var letters: [[UInt8]] = []
    private static let period = 4.0
    private static let peak = 4_000.0

    mutating func follow(seconds: Double) {
        let phase = (seconds / Self.period).truncatingRemainder(dividingBy: 1)
        let length = Int(Self.peak * 2 * min(phase, 1 - phase))
        while letters.count < length { letters.append([UInt8](repeating: 2, count: 1_000)) }
        if letters.count > length { letters.removeFirst(letters.count - length) }
    }
}

/// One response: a buffer of 1 to 16 KB that lives as long as the request.
@inline(never)
func renderResponse(_ product: [UInt8], size: Int) -> Int {
    var response: [UInt8] = []
    response.reserveCapacity(size)
    response.append(contentsOf: product)
    response.append(contentsOf: repeatElement(0, count: size - product.count))
    return response.count
}
