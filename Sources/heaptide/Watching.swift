import Agent
import ArgumentParser
import Logging

/// Of `--contents`.
let contentsHelp = ArgumentHelp(
    "With --heap: also store how texts begin that are there 16 times or more. Without it a snapshot holds no byte of them."
)

/// Options that `run` and `agent` share.
struct WatchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Folder of the snapshots.", valueName: "DIR"))
    var output = "."

    @Option(
        help: ArgumentHelp(
            "Limit to judge by where the cgroup gives none or a looser one; it is not enforced. k, M, G and KiB, MiB, "
                + "GiB count in 1024; kB, MB, GB in 1000.", valueName: "SIZE"))
    var memoryLimit: ByteSize?

    @Option(
        help: ArgumentHelp(
            "Run by /bin/sh on growth, collection, snapshot and kill, with the event as JSON on standard input and in "
                + "HEAPTIDE_EVENT, HEAPTIDE_PID, HEAPTIDE_NAME, HEAPTIDE_TEXT, HEAPTIDE_SNAPSHOT.", valueName: "COMMAND"
        ))
    var onEvent: String?

    @Option(help: ArgumentHelp("Post each event to this URL as JSON.", valueName: "URL"))
    var webhook: String?

    @Option(help: ArgumentHelp("Least time between two events of one kind.", valueName: "SECONDS"))
    var cooldown = 900.0

    @Option(help: ArgumentHelp("Snapshots of this service to keep, the newest.", valueName: "NUMBER"))
    var keep = 10

    @Flag(help: "Take a snapshot when the service ends also where nothing grew.")
    var snapshotAtExit = false

    @Flag(
        help: ArgumentHelp(
            "Snapshots also say who holds the memory, read from a copy made by fork, or while the service stands still "
                + "where there is no room for that. Besides one is taken at half the limit, and large collections are counted "
                + "while it runs, to tell those that only grow."))
    var heap = false

    @Flag(help: contentsHelp)
    var contents = false

    @Option(help: ArgumentHelp("Folder of the ledgers.", valueName: "DIR"))
    var ledgers: String?

    @Flag(name: .shortAndLong, help: "Say only what went wrong.")
    var quiet = false

    func validate() throws {
        guard cooldown >= 0, cooldown.isFinite else { throw ValidationError("--cooldown must be 0 or more seconds") }
        if contents, !heap { throw ValidationError("--contents goes with --heap") }
        guard keep >= 1 else { throw ValidationError("--keep must be at least 1") }
        if let webhook, !webhook.hasPrefix("http://"), !webhook.hasPrefix("https://") {
            throw ValidationError("--webhook must begin with http:// or https://")
        }
    }

    var agentOptions: AgentOptions {
        var options = AgentOptions()
        options.output = output
        options.memoryLimit = memoryLimit
        options.eventCommand = onEvent
        options.webhook = webhook
        options.cooldown = cooldown
        options.keep = keep
        options.snapshotAtExit = snapshotAtExit
        options.readsHeap = heap
        options.quotesTexts = contents
        options.ledgerFolder = ledgers
        return options
    }

    var logger: Logger {
        Logger(label: "heaptide") { _ in CompactLog(level: quiet ? .warning : .info) }
    }
}
