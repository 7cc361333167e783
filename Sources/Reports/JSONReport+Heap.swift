import HeapProfile
import LeakAnalysis

// Keys as in JSONReport.swift.

extension HeapSurvey {
    /// Without the lists, which stand beside it.
    var json: JSONValue {
        .object([
            "blockCount": .number(Double(blockCount)),
            "bytes": .number(Double(bytes)),
            "sharedBytes": .number(Double(sharedBytes)),
            "pauseSeconds": .number(pause),
            "method": .string(method.rawValue),
            "texts": texts?.json ?? .null,
        ])
    }
}

extension HeapSurvey.Root {
    var json: JSONValue {
        .object([
            "kind": .string(kind.rawValue),
            "name": .string(name),
            "type": JSONValue(type),
            "module": .string(module),
            "thread": JSONValue(thread.map(Int.init)),
            "retainedBytes": .number(Double(retainedBytes)),
            "retainedCount": .number(Double(retainedCount)),
            "container": container?.json ?? .null,
        ])
    }
}

extension HeapSurvey.Container {
    fileprivate var json: JSONValue {
        .object([
            "kind": .string(kind),
            "count": .number(Double(count)),
            "capacity": JSONValue(capacity.map { Double($0) }),
        ])
    }
}

extension HeapSurvey.TypeCount {
    fileprivate var fields: [String: JSONValue] {
        [
            "name": .string(name),
            "count": .number(Double(count)),
            "shallowBytes": .number(Double(shallowBytes)),
            "retainedBytes": .number(Double(retainedBytes)),
        ]
    }
}

extension HeapSurvey {
    func json(of type: TypeCount) -> JSONValue {
        let holders = type.holders.map { holder in
            JSONValue.object([
                "title": .string(title(of: holder.place)), "isLost": .bool(holder.place == .nothing),
                "count": .number(Double(holder.count)),
            ])
        }
        return .object(["holders": .array(holders)].merging(type.fields) { $1 })
    }
}

extension HeapSurvey.Leak {
    var json: JSONValue {
        .object([
            "type": .string(type),
            "heads": .number(Double(heads)),
            "bytes": .number(Double(bytes)),
            "count": .number(Double(count)),
            "cycle": .bool(isCycle),
            "way": .array(way.map(JSONValue.string)),
        ])
    }
}

extension HeapSurvey {
    func json(of collection: Collection) -> JSONValue {
        .object([
            "title": .string(title(of: collection)),
            "container": collection.container.json,
            "elementSize": JSONValue(collection.elementSize.map { Double($0) }),
            "type": JSONValue(collection.type),
            "owner": JSONValue(collection.owner),
            "root": JSONValue(collection.root),
            "retainedBytes": .number(Double(collection.retainedBytes)),
            "retainedCount": .number(Double(collection.retainedCount)),
            "unusedBytes": .number(Double(collection.unusedBytes)),
            "instances": .number(Double(collection.instances)),
            "addresses": .array(collection.addresses.map { .string(hexadecimal($0)) }),
        ])
    }

    func json(of growth: CollectionGrowth) -> JSONValue {
        .object(["collection": json(of: growth.collection)].merging(growth.changes) { $1 })
    }
}

extension HeapSurvey.Texts {
    fileprivate var json: JSONValue {
        .object([
            "count": .number(Double(count)),
            "bytes": .number(Double(bytes)),
            "duplicateBytes": .number(Double(duplicateBytes)),
            "unusedBytes": .number(Double(unusedBytes)),
            "largest": .array(
                largest.map {
                    .object([
                        "count": .number(Double($0.count)), "length": .number(Double($0.length)),
                        "owner": .string($0.owner), "start": JSONValue($0.start),
                    ])
                }),
        ])
    }
}

extension HeapSurvey.Object {
    /// Of `above` and `root`, indices into `objects` and `roots`, one at the most is not null; where both are, `owners` are
    /// the largest of those that hold it together.
    var json: JSONValue {
        .object([
            "address": .string(hexadecimal(address)),
            "type": .string(type),
            "bytes": .number(Double(bytes)),
            "retainedBytes": .number(Double(retainedBytes)),
            "retainedCount": .number(Double(retainedCount)),
            "root": JSONValue(holder.root),
            "above": JSONValue(holder.object),
            "owners": .array(owners.map { JSONValue($0) }),
            "ownerCount": JSONValue(ownerCount),
        ])
    }
}

extension RisingCollection {
    var json: JSONValue {
        .object([
            "title": .string(title),
            "kind": .string(kind),
            "isInBytes": .bool(HeapSurvey.Container.isInBytes(kind)),
            "count": .number(count),
            "entriesPerSecond": .number(entriesPerSecond),
            "low": .number(low),
            "high": .number(high),
            "bytesPerEntry": .number(bytesPerEntry),
            "bytesPerSecond": .number(bytesPerSecond),
            "seconds": .number(seconds),
        ])
    }
}

extension HeldGrowth {
    var changes: [String: JSONValue] {
        [
            "seconds": .number(seconds),
            "retainedBytesBefore": .number(Double(retainedBytesBefore)),
            "bytesPerSecond": .number(bytesPerSecond),
            "countBefore": JSONValue(countBefore.map { Double($0) }),
            "entriesPerSecond": JSONValue(entriesPerSecond),
            "bytesPerEntry": JSONValue(bytesPerEntry),
        ]
    }
}

func hexadecimal(_ address: UInt64) -> String { "0x" + String(address, radix: 16) }

extension HolderGrowth {
    var json: JSONValue { .object(["root": root.json].merging(changes) { $1 }) }
}
