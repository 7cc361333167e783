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
    var json: JSONValue {
        .object([
            "name": .string(name),
            "count": .number(Double(count)),
            "shallowBytes": .number(Double(shallowBytes)),
            "retainedBytes": .number(Double(retainedBytes)),
        ])
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
        ])
    }
}

extension HolderGrowth {
    var json: JSONValue {
        .object([
            "root": root.json,
            "seconds": .number(seconds),
            "retainedBytesBefore": .number(Double(retainedBytesBefore)),
            "bytesPerSecond": .number(bytesPerSecond),
            "countBefore": JSONValue(countBefore.map { Double($0) }),
            "entriesPerSecond": JSONValue(entriesPerSecond),
            "bytesPerEntry": JSONValue(bytesPerEntry),
        ])
    }
}
