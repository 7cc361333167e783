import AgentCore

let mebibyte = 1_048_576.0

/// Drives a core as the agent does, by the core's own interval, against memory given as a function of time.
struct Simulation {
    var core: AgentCore
    var time = 0.0
    var process = ProcessKey(pid: 7, startTicks: 1)
    /// How long writing a snapshot takes.
    var captureSeconds = 0.1
    var failsToCapture = false
    private(set) var log: [(time: Double, effect: Effect)] = []
    private(set) var readings = 0
    private var captureEnds: Double?

    init(_ policy: Policy) { core = AgentCore(policy: policy) }

    /// Until `end`, or until the cgroup is full: the kernel does not wait for the next reading.
    mutating func run(until end: Double, limit: Double? = nil, memory: (Double) -> Double) {
        while time < end {
            let used = memory(time)
            if let limit, used >= limit { break }
            if let done = captureEnds, done <= time { finishCapture() }
            readings += 1
            step(
                .memory(
                    MemoryReading(
                        process: process, ownBytes: used, cgroup: limit.map { Occupancy(used: used, limit: $0) },
                        oomKills: limit == nil ? nil : 0)))
            time += core.interval
        }
    }

    mutating func finishCapture() {
        captureEnds = nil
        step(failsToCapture ? .captureFailed : .captured(path: "snapshot-\(captures.count)"))
    }

    mutating func step(_ event: Observation.Event) {
        for effect in core.step(Observation(time: time, event: event)) {
            log.append((time, effect))
            if case .capture = effect { captureEnds = time + captureSeconds }
        }
    }

    var captures: [(time: Double, trigger: Trigger)] {
        log.compactMap { entry in
            if case .capture(let trigger, _) = entry.effect { (entry.time, trigger) } else { nil }
        }
    }

    func notices(_ kind: EventKind) -> [(time: Double, snapshot: String?)] {
        log.compactMap { entry in
            if case .notify(kind, _, let snapshot) = entry.effect { (entry.time, snapshot) } else { nil }
        }
    }

    func count(_ effect: Effect) -> Int { log.count { $0.effect == effect } }
}
