import HeapProfile
import LeakAnalysis

// The keys are what other programs rely on: add, but never rename. Bytes, seconds, and shares of 0 to 1 throughout.

extension LeakReport {
    var json: JSONValue {
        .object([
            "schemaVersion": .number(1),
            "verdict": .object([
                "class": .string(verdict.class.rawValue),
                "summary": .string(verdict.summary),
            ]),
            "growth": growth.json,
            "timeToLimitSeconds": JSONValue(timeToLimitSeconds),
            "usageBytes": JSONValue(usageBytes),
            "limitBytes": JSONValue(limitBytes),
            "suspects": .array(suspects.map(\.json)),
            "healthy": .array(healthy.map(\.json)),
            "process": process.json,
            "sampling": sampling?.json ?? .null,
            "heap": heap?.json ?? .null,
            "roots": .array((heap?.roots ?? []).map(\.json)),
            "types": .array((heap?.types ?? []).map { heap?.json(of: $0) ?? .null }),
            "leaks": .array((heap?.leaks ?? []).map(\.json)),
            "lostSites": .array(lostSites.map(\.json)),
            "collections": .array((heap?.collections ?? []).map { heap?.json(of: $0) ?? .null }),
            "objects": .array((heap?.objects ?? []).map(\.json)),
            "holderGrowth": .array(holderGrowth.map(\.json)),
            "collectionGrowth": .array(collectionGrowth.map { growth in heap?.json(of: growth) ?? .null }),
            "risingCollections": .array(risingCollections.map(\.json)),
            "warnings": .array(warnings.map(JSONValue.string)),
        ])
    }
}

extension GrowthReport {
    fileprivate var json: JSONValue {
        .object([
            "bytesPerSecond": .number(bytesPerSecond),
            "low": .number(low),
            "high": .number(high),
            "bytesPerDay": .number(bytesPerDay),
            "pattern": .string(patternName),
            "source": .string(source.rawValue),
            "onset": JSONValue(onset),
        ])
    }
}

extension LostSite {
    fileprivate var json: JSONValue {
        .object(["function": .string(function), "module": .string(module), "bytes": .number(bytes)])
    }
}

extension Suspect {
    fileprivate var json: JSONValue {
        .object([
            "rank": JSONValue(rank),
            "confidence": .number(confidence),
            "confidenceLabel": .string(confidenceLabel.rawValue),
            "function": .string(function),
            "module": .string(module),
            "liveBytes": .number(liveBytes),
            "liveBytesError": .number(liveBytesError),
            "liveCount": .number(liveCount),
            "averageSize": .number(averageSize),
            "bytesPerSecond": .number(bytesPerSecond),
            "low": .number(low),
            "high": .number(high),
            "bytesPerDay": .number(bytesPerDay),
            "growthShare": .number(growthShare),
            "freedShare": .number(freedShare),
            "sites": JSONValue(sites),
            "holders": .array(holders.map(\.json)),
            "ages": ages.json,
            "stack": .array(stack.map(\.json)),
            "evidence": .array(evidence.map(\.json)),
        ])
    }
}

extension Holder {
    fileprivate var json: JSONValue {
        .object([
            "kind": .string(kind.rawValue),
            "share": .number(share),
            "way": .array(way.map(JSONValue.string)),
            "root": root?.json ?? .null,
        ])
    }
}

extension Ages {
    fileprivate var json: JSONValue {
        .object([
            "youngest": .number(youngest),
            "median": .number(median),
            "oldest": .number(oldest),
            "births": .array(births.map(JSONValue.number)),
        ])
    }
}

extension StackFrame {
    fileprivate var json: JSONValue {
        .object([
            "function": .string(function),
            "module": .string(module),
            "file": JSONValue(file),
            "line": JSONValue(line),
            "role": .string(role.rawValue),
        ])
    }
}

extension Evidence {
    fileprivate var json: JSONValue {
        .object(["kind": .string(kind.rawValue), "text": .string(text), "weight": .number(weight)])
    }
}

extension SiteSummary {
    fileprivate var json: JSONValue {
        .object([
            "function": .string(function),
            "module": .string(module),
            "liveBytes": .number(liveBytes),
            "liveCount": .number(liveCount),
            "freedShare": .number(freedShare),
            "behaviour": .string(behaviour.rawValue),
            "reason": .string(reason),
        ])
    }
}

extension ProcessSummary {
    fileprivate var json: JSONValue {
        .object([
            "name": JSONValue(name),
            "pid": JSONValue(pid.map(Int.init)),
            "startTime": JSONValue(startTime.flatMap(iso8601)),
            "observedSeconds": .number(observedSeconds),
            "hasExited": .bool(ending == .exited),
            "ending": JSONValue(ending?.rawValue),
        ])
    }
}

extension SamplingSummary {
    fileprivate var json: JSONValue {
        .object([
            "interval": .number(interval),
            "isExact": .bool(isExact),
            "liveSamples": JSONValue(liveSamples),
            "sites": JSONValue(sites),
            "liveBytes": .number(liveBytes),
            "allocatedBytes": .number(allocatedBytes),
            "freedBytes": .number(freedBytes),
            "liveBytesError": .number(liveBytesError),
            "allocatedBytesError": .number(allocatedBytesError),
            "freedBytesError": .number(freedBytesError),
            "probeTimeShare": .number(probeTimeShare),
            "probe": probe.json,
        ])
    }
}

extension ProbeAccount {
    fileprivate var json: JSONValue {
        .object([
            "samplesTaken": JSONValue(Int(clamping: samplesTaken)),
            "samplesFreed": JSONValue(Int(clamping: samplesFreed)),
            "samplesThinned": JSONValue(Int(clamping: samplesThinned)),
            "samplesDropped": JSONValue(Int(clamping: samplesDropped)),
            "samplesPaused": JSONValue(Int(clamping: samplesPaused)),
            "stacksCut": JSONValue(Int(clamping: stacksCut)),
            "stacksFailed": JSONValue(Int(clamping: stacksFailed)),
            "stacksLost": JSONValue(Int(clamping: stacksLost)),
            "widestInterval": .number(widestInterval),
            "paced": JSONValue(Int(clamping: paced)),
            "stalled": JSONValue(Int(clamping: stalled)),
            "meanNanoseconds": .number(meanSeconds * 1e9),
            "p99Nanoseconds": .number(p99Seconds * 1e9),
            "worstNanoseconds": .number(worstSeconds * 1e9),
            "memoryBytes": JSONValue(Int(clamping: memoryBytes)),
            "ledgerBytes": JSONValue(Int(clamping: ledgerBytes)),
            "isPaused": .bool(isPaused),
            "isAttached": .bool(isAttached),
            "isDetached": .bool(isDetached),
        ])
    }
}
