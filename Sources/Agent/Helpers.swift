import CLinux
import Glibc

/// The agent's short-lived children: whatever needs memory, a network or a shell happens in one of them.
///
/// So the agent itself stays as small as the day it started, no failure of theirs is its own, and being PID 1 has one
/// place that waits for children.
struct Helpers {
    enum Kind { case capture, survey, symbolize, hook, webhook }

    private struct Job {
        var kind: Kind
        var deadline: Double
        var isOverdue = false
        var completion: (ProcessStatus) -> Void
    }

    private var jobs: [pid_t: Job] = [:]
    /// Completions of those that could not be started.
    private var failed: [(ProcessStatus) -> Void] = []
    private let mask: sigset_t
    private let defaults: sigset_t

    init(signals: SignalQueue) {
        mask = signals.inheritedMask
        defaults = signals.childDefaults
    }

    var isEmpty: Bool { jobs.isEmpty && failed.isEmpty }
    /// When the first of them has had its time (monotonic seconds).
    var nextDeadline: Double? { failed.isEmpty ? jobs.values.map(\.deadline).min() : 0 }

    /// Starts this very program with `arguments`, also where its file was replaced by an update meanwhile.
    mutating func startSelf(
        _ arguments: [String], kind: Kind, input: [UInt8], timeLimit: Double,
        completion: @escaping (ProcessStatus) -> Void
    ) {
        start(
            "/proc/self/exe", ["heaptide"] + arguments, kind: kind, input: input, environment: [:],
            timeLimit: timeLimit, completion: completion)
    }

    /// Who gets `completion` from `remove`, or from `takeFailed` where the program could not be started, calls it.
    mutating func start(
        _ path: String, _ arguments: [String], kind: Kind, input: [UInt8], environment: [String: String],
        timeLimit: Double, completion: @escaping (ProcessStatus) -> Void
    ) {
        // A file in memory rather than a pipe: nobody has to feed it while the helper reads, or does not.
        let file = clinux_memory_file("heaptide-input")
        defer { if file >= 0 { close(file) } }
        guard file >= 0, write(input, to: file) else { return failed.append(completion) }
        let spawn = Spawn(
            path: path, arguments: arguments.map { Array($0.utf8) },
            environment: currentEnvironment().setting(environment).entries,
            // Only the service writes to our standard output.
            input: file, output: STDERR_FILENO, ownGroup: true, mask: mask, defaults: defaults)
        switch spawn.start() {
        case .success(let pid):
            letGoFirst(pid)
            jobs[pid] = Job(kind: kind, deadline: Clock.monotonic() + timeLimit, completion: completion)
        case .failure: failed.append(completion)
        }
    }

    /// The completion of one that could not be started.
    mutating func takeFailed() -> ((ProcessStatus) -> Void)? { failed.isEmpty ? nil : failed.removeFirst() }

    /// The completion of the helper `pid`, which has ended; nil where it is none.
    mutating func remove(_ pid: pid_t) -> ((ProcessStatus) -> Void)? { jobs.removeValue(forKey: pid)?.completion }

    /// Ends those that have had their time; `remove` follows when they are gone.
    mutating func endOverdue(_ now: Double) {
        for (pid, job) in jobs where job.deadline <= now {
            kill(-pid, SIGKILL)
            // It cannot survive that; should the kernel hold it, nobody waits for it a second time.
            jobs[pid]?.deadline = now + 60
        }
    }

    /// Gives all but snapshots no longer than until `time`.
    mutating func endDispensable(at time: Double) {
        for (pid, job) in jobs where job.kind != .capture { jobs[pid]?.deadline = min(job.deadline, time) }
    }

    private func write(_ bytes: [UInt8], to file: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + done }, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return lseek(file, 0, SEEK_SET) == 0
    }
}

/// Where memory runs out the kernel shall rather end a helper than the agent, which would start another. Said from here,
/// since near the limit a helper may not live to say it itself.
private func letGoFirst(_ helper: pid_t) {
    let path = "/proc/\(helper)/oom_score_adj"
    let digits = readBytes(path).map { String(decoding: $0, as: UTF8.self).filter { $0 != "\n" } }
    guard let now = digits.flatMap({ Int($0) }) else { return }
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    let raised = Array("\(min(1000, now + 100))".utf8)
    _ = Glibc.write(file, raised, raised.count)
}
