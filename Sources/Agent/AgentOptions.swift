import AgentCore

/// What `run` and `agent` are told.
public struct AgentOptions: Sendable {
    /// Folder of the snapshots; it is made if it does not exist.
    public var output = "."
    /// Limit to judge by where the cgroup gives none or a looser one; not enforced.
    public var memoryLimit: ByteSize?
    /// Mean bytes between two samples; the probe's default where nil.
    public var sampleInterval: ByteSize?
    /// Name of the service in snapshots and events; the program's own where nil.
    public var name: String?
    /// Command for /bin/sh that is run on each event, with the event as JSON on its standard input.
    public var eventCommand: String?
    /// URL that each event is posted to as JSON.
    public var webhook: String?
    /// Seconds between two notifications of one kind.
    public var cooldown = 900.0
    public var snapshotAtExit = false
    /// Snapshots of a process that lives also say who holds its heap, for which it stands still.
    public var readsHeap = false
    /// They also say what texts say that are there many times.
    public var quotesTexts = false
    /// Snapshots of this name that are kept in the output folder, the newest.
    public var keep = 10
    /// The probe's file; looked for beside the heaptide executable where nil.
    public var probe: String?
    /// Folder of the ledgers; HEAPTIDE_DIR of the target, or the default one, where nil.
    public var ledgerFolder: String?

    public init() {}

    var policy: Policy {
        var policy = Policy(memoryLimit: memoryLimit.map { Double($0.bytes) })
        policy.alertCooldown = cooldown
        policy.snapshotsAtExit = snapshotAtExit
        policy.heapLevel = readsHeap ? 0.5 : nil
        policy.countsCollections = readsHeap
        return policy
    }
}
