import Agent
import ArgumentParser
import Glibc
import Inspection
import LeakAnalysis
import Reports
import Snapshot

struct TakeSnapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Take a snapshot of a process now.",
        discussion: """
            Example: heaptide snapshot 4711 --output before-deploy.heaptide --heap

            With --heap a copy of the process is made by fork, and its heap read: the process stands still for some 20 ms \
            a GB, and goes on whatever happens to this command. Where that is not possible, or with --freeze copy, it \
            stands still until its memory is copied, about 1.5 seconds a GB; where there is no room for that, or with \
            --freeze stop, until it is read, about 2.3. It works for programs with glibc's allocator, also without \
            the probe; with other allocators where the probe has recorded every allocation (`run --interval 1`).
            """)

    @Argument(help: ArgumentHelp("The process.", valueName: "PID"))
    var pid: Int32

    @Option(name: .shortAndLong, help: ArgumentHelp("The snapshot, ending in .heaptide.", valueName: "FILE"))
    var output: String

    @Flag(help: "Also read the heap itself: who holds it, of what types, and what leaked. Needs no probe.")
    var heap = false

    @Option(help: "How the process is kept from changing its heap: fork, copy or stop.")
    var freeze: FreezeMethod?

    @Flag(help: contentsHelp)
    var contents = false

    @Option(help: ArgumentHelp("Limit to judge by, as of `run`.", valueName: "SIZE"))
    var memoryLimit: ByteSize?

    @Option(help: ArgumentHelp("Folder of the process's ledger.", valueName: "DIR"))
    var ledgers: String?

    func validate() throws {
        if pid <= 0 { throw ValidationError("PID must be a process's number") }
        if contents, !heap { throw ValidationError("--contents goes with --heap") }
        if freeze != nil, !heap { throw ValidationError("--freeze goes with --heap") }
        guard output.hasSuffix(".heaptide") else { throw ValidationError("--output FILE must end in .heaptide") }
    }

    func run() throws {
        let notes = try Capture.take(
            pid: pid, output: output, memoryLimit: memoryLimit, ledgerFolder: ledgers, readsHeap: heap,
            freeze: freeze, quotesTexts: contents)
        for note in notes { write("heaptide: warning: \(note)\n", to: STDERR_FILENO) }
        print(output)
    }
}

struct Analyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what leaks, how fast, and which code allocates it.",
        discussion: """
            Example: heaptide analyze service-20261121T231422.087Z-4711-limit.heaptide --format json

            FILE is a snapshot, the .partial of one that was cut short, or a ledger that a killed process left. With \
            --since, which of the process's variables hold more than then, and by how much a second.
            """)

    @Argument(help: ArgumentHelp("A snapshot or a ledger.", valueName: "FILE"))
    var file: String

    @Option(help: "text or json.")
    var format = Format.text

    @Option(help: "auto, always or never.")
    var color = ColorChoice.auto

    @Option(
        help: ArgumentHelp("An earlier snapshot of the process to compare with; both with --heap.", valueName: "FILE"))
    var since: String?

    @Option(
        help: ArgumentHelp("Tell of the variables of this name, or with it in theirs; with --heap.", valueName: "NAME"))
    var root: String?

    @Option(help: ArgumentHelp("Tell of a type, and of who holds what is of it; with --heap.", valueName: "NAME"))
    var type: String?

    @Option(help: ArgumentHelp("Tell of the block at an address, and who holds it.", valueName: "ADDRESS"))
    var object: String?

    @Flag(help: "Exit with status 1 if a leak is found.")
    var check = false

    @Flag(help: "Show allocator, container and runtime frames too.")
    var allFrames = false

    func validate() throws {
        guard [root, type, object].compactMap(\.self).count <= 1 else {
            throw ValidationError("give one of --root, --type and --object")
        }
        if let object, Self.address(object) == nil {
            throw ValidationError("--object \(object) is no address: give one as 0x7f31a8001230")
        }
    }

    func run() throws {
        if let question { return try answer(question) }
        var options = AnalysisOptions()
        options.showsFoldedFrames = allFrames
        let report = try Inspection.report(
            try Inspection.open(file), since: try since.map(Inspection.open), options: options)
        let text = render(
            report, as: format == .json ? .json : .text, width: terminalWidth(),
            color: format == .text && color.isOn)
        write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO)
        guard check, report.verdict.class != .stable else { return }
        if report.verdict.class == .leak { throw ExitCode(1) }
        write("heaptide: warning: --check found no leak for certain, and rules none out\n", to: STDERR_FILENO)
    }

    private var question: HeapQuestion? {
        root.map(HeapQuestion.root) ?? type.map(HeapQuestion.type)
            ?? object.flatMap(Self.address).map(HeapQuestion.object)
    }

    private static func address(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    private func answer(_ question: HeapQuestion) throws {
        guard let heap = try Inspection.open(file).heap else {
            throw NothingFound("\(file) does not hold who holds the heap: take the snapshot with --heap")
        }
        let text = render(
            question, in: heap, as: format == .json ? .json : .text, width: terminalWidth(),
            color: format == .text && color.isOn)
        guard let text else {
            throw NothingFound("\(file) has \(question.whatIsMissing): see `heaptide analyze \(file)` for what it has")
        }
        write(text, to: STDOUT_FILENO)
    }
}

struct Symbolize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add functions, files and lines to a snapshot.",
        discussion: """
            Example: heaptide symbolize service-20261121T231422.087Z-4711-limit.heaptide

            To be run where the service's files and their debug information are; the snapshot can then be read anywhere.
            """)

    @Argument(help: ArgumentHelp("A snapshot.", valueName: "FILE"))
    var file: String

    @Flag(help: .hidden)
    var background = false

    func run() throws {
        if background { _ = nice(10) }
        let notes = try Inspection.symbolize(path: file)
        if !background { for note in notes { write("heaptide: warning: \(note)\n", to: STDERR_FILENO) } }
    }
}

struct Examine: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine and these permissions allow.",
        discussion: """
            Example: heaptide doctor 4711

            Of a process it also says whether the probe can be attached to it.
            """)

    @Argument(help: ArgumentHelp("A process to look at as well.", valueName: "PID"))
    var pid: Int32?

    @Option(help: "text or json.")
    var format = Format.text

    @Option(help: "auto, always or never.")
    var color = ColorChoice.auto

    @Option(help: ArgumentHelp("The probe, if it is not beside heaptide.", valueName: "FILE"))
    var probe: String?

    @Option(help: ArgumentHelp("Folder of the ledgers.", valueName: "DIR"))
    var ledgers: String?

    func run() throws {
        let diagnosis = try Doctor.examine(pid: pid, probe: probe, ledgerFolder: ledgers)
        write(format == .json ? diagnosis.json : diagnosis.text(color: color.isOn), to: STDOUT_FILENO)
    }
}

/// There is an input, but what was asked for is not in it.
struct NothingFound: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension HeapQuestion {
    /// Why there may be no answer.
    fileprivate var whatIsMissing: String {
        switch self {
        case .root: "no variable of this name that holds anything"
        case .type:
            "no type of this name (C++ classes without virtual functions and types of Rust are known by their size alone)"
        case .object: "nothing of this address (of blocks, it has those that hold a thousandth of the heap)"
        }
    }
}
