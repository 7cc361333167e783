/// What the agent learnt at one moment.
public struct Observation: Sendable, Equatable {
    /// Seconds of a monotonic clock with any origin. A step backwards counts as no time at all.
    public var time: Double
    public var event: Event

    public enum Event: Sendable, Equatable {
        case memory(MemoryReading)
        /// The snapshot that `Effect.capture` asked for is durable at `path`.
        case captured(path: String)
        case captureFailed
        /// What `Effect.survey` asked for is done, or has failed.
        case surveyed
        /// The counts of all collections that are known.
        case counted([CollectionReading], of: Int32)
        /// Another process of the same service is gone; `snapshot` holds what it left. `wasKilled` is false where
        /// nobody can tell how it ended.
        case memberEnded(pid: Int32, snapshot: String, wasKilled: Bool)
        /// The process is gone. Nothing but `captured` and `captureFailed` follows for it.
        case ended(Ending)
    }

    public init(time: Double, event: Event) {
        self.time = time
        self.event = event
    }
}

/// One process's memory, and how near to its limit it is.
public struct MemoryReading: Sendable, Equatable {
    public var process: ProcessKey
    /// Anonymous and shared memory of the process: what no reclaim takes away.
    public var ownBytes: Double
    /// The tightest limit of its cgroup, with the unreclaimable memory charged to the cgroup that has it.
    public var cgroup: Occupancy?
    /// OOM kills counted by its cgroup so far.
    public var oomKills: UInt64?

    public init(process: ProcessKey, ownBytes: Double, cgroup: Occupancy? = nil, oomKills: UInt64? = nil) {
        self.process = process
        self.ownBytes = ownBytes
        self.cgroup = cgroup
        self.oomKills = oomKills
    }
}

/// A pid is reused; together with its start time it is not.
public struct ProcessKey: Sendable, Hashable {
    public var pid: Int32
    public var startTicks: UInt64

    public init(pid: Int32, startTicks: UInt64) {
        self.pid = pid
        self.startTicks = startTicks
    }
}

/// Memory in use that cannot be taken back, against a limit. Bytes.
public struct Occupancy: Sendable, Equatable {
    public var used: Double
    public var limit: Double

    public init(used: Double, limit: Double) {
        self.used = used
        self.limit = limit
    }

    public var headroom: Double { max(0, limit - used) }
    public var share: Double { limit > 0 ? used / limit : 1 }
}

/// How a process ended, as far as it is known.
public struct Ending: Sendable, Equatable {
    public enum Cause: Sendable, Equatable {
        /// It ended by its own will, or was asked to (SIGTERM, SIGINT …).
        case exited
        /// A signal that no program chooses: SIGKILL, or a crash.
        case killed
    }
    public var cause: Cause
    /// OOM kills counted by its cgroup afterwards.
    public var oomKills: UInt64?

    public init(_ cause: Cause, oomKills: UInt64? = nil) {
        self.cause = cause
        self.oomKills = oomKills
    }
}
