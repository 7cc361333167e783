import Agent
import ArgumentParser
import Glibc

struct Attach: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the probe into a process that runs already.",
        discussion: """
            Example: heaptide attach 4711 --interval 64KiB

            What is allocated from then on is recorded, also by its forked children; what it had allocated before is not \
            known. One thread is interrupted for some milliseconds; nothing is left stopped, also if this command is \
            killed. With --detach the probe is made inert; its library stays mapped, unused.

            It is refused, with the reason, where it could do harm: programs that are linked statically, use another C \
            library than glibc, run with other rights than their caller, are being traced or stopped.
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "PID"))
    var pid: Int32

    @Flag(help: "Make an attached probe inert.")
    var detach = false

    @Option(help: ArgumentHelp("Mean bytes between two samples; 1 records every allocation.", valueName: "SIZE"))
    var interval: ByteSize?

    @Option(help: ArgumentHelp("Folder of the process's ledger.", valueName: "DIR"))
    var ledgers: String?

    @Option(help: ArgumentHelp("The probe, if it is not beside heaptide.", valueName: "FILE"))
    var probe: String?

    func validate() throws {
        if pid <= 0 { throw ValidationError("PID must be a process's number") }
        try interval?.checkInterval()
        if detach, interval != nil || ledgers != nil || probe != nil {
            throw ValidationError("--detach goes with no other option")
        }
    }

    func run() throws {
        let text =
            detach
            ? try AttachRun.detach(pid: pid)
            : try AttachRun.attach(.init(pid: pid, interval: interval, ledgerFolder: ledgers, probe: probe))
        write(text, to: STDOUT_FILENO)
    }
}
