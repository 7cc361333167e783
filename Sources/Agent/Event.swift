import AgentCore
import FoundationEssentials
import HeapProfile
import TimeSeries

/// What hooks receive as JSON. Sizes in bytes, times in seconds.
struct Event: Codable, Sendable, Equatable {
    var event: String
    /// Since 1970.
    var time: Double
    var host: String
    var name: String
    var pid: Int32
    /// One sentence for people.
    var text: String
    var snapshot: String?
    var usageBytes: Double
    var limitBytes: Double?
    var timeToLimitSeconds: Double?
    var growth: Rate?
    /// What a `collection` event is about.
    var collection: Collection?

    struct Collection: Codable, Sendable, Equatable {
        var title: String
        var kind: String
        var count: Double
        var entriesPerSecond: Double
        var bytesPerEntry: Double
        /// The entries' size is not known: they are bytes.
        var isInBytes: Bool
    }

    struct Rate: Codable, Sendable, Equatable {
        var bytesPerSecond: Double
        var low: Double
        var high: Double
        var pattern: String
    }

    /// One line with its end, so that a hook may append it to a file.
    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return ((try? encoder.encode(self)).map(Array.init) ?? []) + [UInt8(ascii: "\n")]
    }

    /// For the exec hook's environment.
    var variables: [String: String] {
        [
            "HEAPTIDE_EVENT": event, "HEAPTIDE_PID": String(pid), "HEAPTIDE_NAME": name, "HEAPTIDE_TEXT": text,
            "HEAPTIDE_SNAPSHOT": snapshot ?? "",
        ]
    }
}

extension Event {
    init(_ kind: EventKind, _ situation: Situation, name: String, pid: Int32, host: String, snapshot: String?) {
        let pid = situation.member ?? pid
        self.init(
            event: kind.rawValue, time: Clock.unix(), host: host, name: name, pid: pid,
            text: "\(name) (process \(pid)) \(situation.sentence(kind, snapshot: snapshot))", snapshot: snapshot,
            usageBytes: situation.usedBytes, limitBytes: situation.limitBytes,
            timeToLimitSeconds: situation.secondsToLimit,
            growth: situation.growth.map {
                Rate(bytesPerSecond: $0.perSecond, low: $0.low, high: $0.high, pattern: $0.pattern.rawValue)
            },
            collection: situation.collection.map {
                Collection(
                    title: $0.reading.title, kind: $0.reading.kind, count: $0.reading.count,
                    entriesPerSecond: $0.entriesPerSecond, bytesPerEntry: $0.reading.bytesPerEntry,
                    isInBytes: HeapSurvey.Container.isInBytes($0.reading.kind))
            })
    }
}

extension Situation {
    /// `uses 205 MiB of 256 MiB (80%), which leaves about 12 s`
    var figures: String {
        guard let limitBytes, limitBytes > 0 else { return "uses \(ByteSize.text(usedBytes))" }
        let share = Int((usedBytes / limitBytes * 100).rounded())
        let left = secondsToLimit.map { ", which leaves about \(Self.duration($0))" } ?? ""
        return "uses \(ByteSize.text(usedBytes)) of \(ByteSize.text(limitBytes)) (\(share)%)\(left)"
    }

    fileprivate func sentence(_ kind: EventKind, snapshot: String?) -> String {
        switch kind {
        case .growth:
            let rate = growth.map { " by \(ByteSize.text($0.perSecond))/s" } ?? ""
            return "grows steadily\(rate) and \(figures)"
        case .collection: return collection.map { "has a collection that only grows: \($0.sentence)" } ?? figures
        case .snapshot:
            switch trigger {
            case .killed?, .exit?: return "has ended; snapshot: \(snapshot ?? "none")"
            default: return "\(figures); snapshot: \(snapshot ?? "none")"
            }
        case .killed:
            let cause = isOutOfMemory ? "was killed for lack of memory" : "was killed"
            guard usedBytes > 0 else { return cause }
            return "\(cause) when it used \(ByteSize.text(usedBytes))"
                + (limitBytes.map { " of \(ByteSize.text($0))" } ?? "")
        }
    }

    static func duration(_ seconds: Double) -> String {
        switch seconds {
        case ..<10: "\((seconds * 10).rounded() / 10) s"
        case ..<120: "\(Int(seconds)) s"
        case ..<7200: "\(Int(seconds / 60)) min"
        case ..<172_800: "\(Int(seconds / 3600)) h"
        case ..<1e9: "\(Int(seconds / 86_400)) days"
        default: "years"
        }
    }
}

extension RisingCount {
    /// `static App.Tracker.events, Dictionary of 75012 entries, 31.2 more a second of 155 B each`
    fileprivate var sentence: String {
        if HeapSurvey.Container.isInBytes(reading.kind) {
            return "\(reading.title), \(reading.kind) of \(ByteSize.text(reading.count)), "
                + "\(ByteSize.text(bytesPerSecond)) more a second"
        }
        let rate = (entriesPerSecond * 10).rounded() / 10
        return
            "\(reading.title), \(reading.kind) of \(Int(min(reading.count, 1e15))) entries, \(rate) more a second of "
            + "\(ByteSize.text(reading.bytesPerEntry)) each"
    }
}
