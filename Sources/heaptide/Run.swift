import Agent
import ArgumentParser
import Glibc

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a service with the probe and watch it.",
        discussion: """
            Example: heaptide run --output /var/lib/heaptide --memory-limit 512MiB -- ./service --port 8080

            Signals and the exit status pass through; it may be PID 1 of a container. A snapshot is taken before the \
            memory limit is reached, when memory grows steadily, and of what a killed service left.
            """)

    @OptionGroup var options: WatchOptions

    @Option(help: ArgumentHelp("Mean bytes between two samples; 1 records every allocation.", valueName: "SIZE"))
    var interval: ByteSize?

    @Option(help: ArgumentHelp("Name of the service in snapshots and events.", valueName: "NAME"))
    var name: String?

    @Option(help: ArgumentHelp("The probe, if it is not beside heaptide.", valueName: "FILE"))
    var probe: String?

    @Argument(parsing: .postTerminator, help: "The service and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        try interval?.checkInterval()
        if command.isEmpty { throw ValidationError("No command was given: heaptide run [options] -- COMMAND …") }
    }

    func run() throws {
        var agent = options.agentOptions
        agent.sampleInterval = interval
        agent.probe = probe
        agent.name = name
        let service = ServiceRun(
            command: command, arguments: rawCommand, options: agent, logger: options.logger)
        throw ExitCode(try service.run())
    }

    /// The command as it was given: Swift makes text of arguments, of whatever bytes they are.
    private var rawCommand: [[UInt8]]? {
        let all = (0..<Int(CommandLine.argc)).compactMap { index in
            CommandLine.unsafeArgv[index].map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
        }
        return command.count < all.count ? all.suffix(command.count) : nil
    }
}

struct Attend: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Watch processes that run already.",
        discussion: """
            Example: heaptide agent --name service --output /var/lib/heaptide --on-event 'logger -t heaptide'

            With --name it waits for processes of that name and watches each. Allocations are known of those that were \
            started with the probe (LD_PRELOAD); of others, memory alone.
            """)

    @OptionGroup var options: WatchOptions

    @Option(help: ArgumentHelp("Watch this process until it ends.", valueName: "PID"))
    var pid: Int32?

    @Option(help: ArgumentHelp("Watch every process of this name, also later ones.", valueName: "NAME"))
    var name: String?

    func validate() throws {
        guard (pid == nil) != (name == nil) else { throw ValidationError("Give either --pid or --name") }
        if let pid, pid <= 0 { throw ValidationError("--pid must be a process's number") }
    }

    func run() throws {
        guard let target = pid.map(Attendance.Target.pid) ?? name.map(Attendance.Target.name) else { return }
        try Attendance(target: target, options: options.agentOptions, logger: options.logger).run()
    }
}
