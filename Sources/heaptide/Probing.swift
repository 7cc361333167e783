import Agent
import ArgumentParser
import HeapLedger

struct TellProbe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Pause, resume or retune the probe in a running process, or ask how it is.",
        discussion: """
            Example: heaptide probe 4711 --interval 64KiB

            The probe follows when it comes to its next sample. While it is paused it takes no samples, and the report
            says how many it left out.
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "PID"))
    var pid: Int32

    @Flag(help: "Take no new samples.")
    var pause = false

    @Flag(help: "Take samples again.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Finest mean bytes between samples; 1 is every allocation.", valueName: "SIZE"))
    var interval: ByteSize?

    @Option(help: ArgumentHelp("Folder of the process's ledger.", valueName: "DIR"))
    var ledgers: String?

    func validate() throws {
        if pid <= 0 { throw ValidationError("PID must be a process's number") }
        try interval?.checkInterval()
        if pause, resume { throw ValidationError("--pause and --resume exclude each other") }
    }

    func run() throws {
        var orders: [ProbeOrder] = []
        if let interval { orders.append(.interval(interval.bytes)) }
        if pause { orders.append(.pause) }
        if resume { orders.append(.resume) }
        write(try ProbeControl.tell(pid, orders, ledgerFolder: ledgers), to: 1)
    }
}
