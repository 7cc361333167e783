import AgentCore
import FoundationEssentials
import Glibc
import HeapLedger
import HeapProfile
import LinuxMemory

/// What this machine, these permissions and this process allow.
public struct Diagnosis: Sendable, Codable {
    public enum State: String, Sendable, Codable { case ok, degraded, missing }

    public struct Finding: Sendable, Codable {
        public var subject: String
        public var state: State
        /// What was found and, unless it is well, what that means and what to do.
        public var text: String
    }

    public var findings: [Finding] = []

    mutating func add(_ subject: String, _ state: State, _ text: String) {
        findings.append(Finding(subject: subject, state: state, text: text))
    }

    /// One line for each finding.
    public func text(color: Bool) -> String {
        let width = findings.map(\.subject.count).max() ?? 0
        return findings.map { finding in
            let state = finding.state.rawValue
            let shade = finding.state == .ok ? "32" : finding.state == .degraded ? "33" : "31"
            let padded = state + String(repeating: " ", count: 8 - state.count)
            let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
            return "\(color ? "\u{1b}[\(shade)m\(padded)\u{1b}[0m" : padded)  \(subject)  \(finding.text)\n"
        }.joined()
    }

    public var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) + "\n" } ?? "{}\n"
    }
}

/// `heaptide doctor`.
public enum Doctor {
    /// Throws only where `pid` is given and there is no such process. Runs one short program with the probe.
    public static func examine(pid: Int32?, probe: String?, ledgerFolder: String?) throws(AgentError) -> Diagnosis {
        var diagnosis = Diagnosis()
        let files = ProcFS()
        kernel(&diagnosis)
        memoryLimit(of: pid ?? getpid(), files, &diagnosis)
        let place = pid.flatMap { pid in
            (try? files.process(pid)).map {
                LedgerPlace(of: ProcessKey(pid: pid, startTicks: $0.startTicks), given: ledgerFolder)
            }
        }
        let folder =
            place?.folder ?? ledgerFolder
            ?? LedgerFolder.defaultPath(
                environment: currentEnvironment()["HEAPTIDE_DIR"].map { ["HEAPTIDE_DIR": $0] } ?? [:])
        checkProbe(probe, &diagnosis)
        ledgers(in: folder, &diagnosis)
        lockedMemory(&diagnosis)
        yama(&diagnosis)
        if let pid { try process(pid, folder, probe, files, &diagnosis) }
        return diagnosis
    }

    // MARK: The machine

    private static func kernel(_ diagnosis: inout Diagnosis) {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let parts = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        let isNewEnough = parts.count == 2 && (parts[0], parts[1]) >= (5, 3)
        diagnosis.add(
            "kernel", isNewEnough ? .ok : .degraded,
            "Linux \(release)" + (isNewEnough ? "" : ": before 5.3 the end of a watched process is noticed later"))
    }

    private static func memoryLimit(of pid: Int32, _ files: ProcFS, _ diagnosis: inout Diagnosis) {
        do {
            guard let cgroup = try files.cgroup(of: pid) else {
                return diagnosis.add(
                    "cgroup", .degraded, "no memory controller: give the limit to judge by with --memory-limit")
            }
            guard let tightest = cgroup.tightest else {
                return diagnosis.add(
                    "cgroup", .degraded,
                    "v\(cgroup.version) \(cgroup.path) has no memory limit: give one with --memory-limit")
            }
            diagnosis.add(
                "cgroup", .ok,
                "v\(cgroup.version) \(cgroup.path): \(ByteSize.text(Double(tightest.unreclaimableBytes))) of "
                    + "\(ByteSize.text(Double(tightest.limitBytes))) in use that cannot be reclaimed")
        } catch {
            diagnosis.add("cgroup", .degraded, "\(error): give the limit with --memory-limit")
        }
    }

    private static func ledgers(in folder: String, _ diagnosis: inout Diagnosis) {
        // Looking must not leave anything behind: a folder that is not there yet is judged by where it would be made.
        let isMissing = Folders.isMissing(folder)
        let existing = isMissing ? Folders.parent(folder) : folder
        if isMissing, Folders.isMissing(existing) {
            return diagnosis.add(
                "ledgers", .degraded,
                "\(folder): `heaptide run` makes the folders above it, the probe alone does not: mkdir -p \(existing)")
        }
        var status = stat()
        guard stat(existing, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, access(existing, W_OK | X_OK) == 0
        else {
            return diagnosis.add(
                "ledgers", .missing, "\(folder): ledgers cannot be written there: name another folder by HEAPTIDE_DIR")
        }
        var space = statvfs()
        guard statvfs(existing, &space) == 0 else {
            return diagnosis.add("ledgers", .degraded, "\(folder): its free space is unknown (\(reason(errno)))")
        }
        let free = Double(space.f_bavail) * Double(space.f_frsize)
        let text = "\(folder): can be written, \(ByteSize.text(free)) free"
        // A ledger has up to 16 MiB, and the probe leaves a disk twice as much.
        diagnosis.add(
            "ledgers", free >= 3 * 0x1p24 ? .ok : .degraded,
            free >= 3 * 0x1p24 ? text : text + ": a probe may find no room; choose another folder by HEAPTIDE_DIR")
    }

    private static func lockedMemory(_ diagnosis: inout Diagnosis) {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
        // The probe takes a quarter of it at the most, and a ledger has 4 MiB, where nobody says otherwise.
        let isEnough = limit.rlim_cur >= 16 << 20 || getuid() == 0
        let size = limit.rlim_cur > 1 << 62 ? "unlimited" : ByteSize.text(Double(limit.rlim_cur))
        diagnosis.add(
            "memlock", isEnough ? .ok : .degraded,
            "RLIMIT_MEMLOCK \(size)"
                + (isEnough
                    ? ""
                    : ": a ledger is locked in memory up to a quarter of that; a larger one, such as the usual one of 4 "
                        + "MiB, may stall the service when memory is short: raise it (ulimit -l 16384), or set "
                        + "HEAPTIDE_LEDGER_SIZE=2MiB"))
    }

    private static func yama(_ diagnosis: inout Diagnosis) {
        guard let bytes = readBytes("/proc/sys/kernel/yama/ptrace_scope"), let digit = bytes.first else {
            return diagnosis.add("yama", .ok, "not in this kernel: it restricts nothing")
        }
        let scope = Int(digit) - 48
        diagnosis.add(
            "yama", scope <= 1 || getuid() == 0 && scope == 2 ? .ok : .degraded,
            "ptrace_scope \(scope)" + (scope > 1 ? ": detail beyond /proc/PID/status needs CAP_SYS_PTRACE" : ""))
    }

    // MARK: One process

    private static func process(
        _ pid: Int32, _ folder: String, _ probe: String?, _ files: ProcFS, _ diagnosis: inout Diagnosis
    ) throws(AgentError) {
        let memory: ProcessMemory
        do { memory = try files.process(pid) } catch { throw AgentError(.processUnreadable, "\(error)") }
        if let absence = memory.absence { return diagnosis.add("process", .missing, absence) }
        let used = ByteSize.text(memory.ownBytes)
        diagnosis.add("process", .ok, "\(memory.name) (\(pid)) uses \(used) of anonymous and shared memory")
        // The kernel checks when it is opened; reading it would halt the process for as long as its pages are counted.
        let rollup = open("/proc/\(pid)/smaps_rollup", O_RDONLY | O_CLOEXEC)
        if rollup >= 0 {
            close(rollup)
            diagnosis.add("smaps", .ok, "may be read: ptrace access is granted")
        } else {
            diagnosis.add(
                "smaps", .degraded,
                "/proc/\(pid)/smaps_rollup: \(reason(errno)); totals are known all the same. Run as the same user and "
                    + "group")
        }
        let key = ProcessKey(pid: pid, startTicks: memory.startTicks)
        if let path = LedgerFolder(path: folder).ledgers(of: key).first {
            state(ofLedger: path, of: key, probe, &diagnosis)
        } else {
            diagnosis.add(
                "ledger", .missing,
                "none in \(folder): its allocations are not recorded; \(Probe.remedy(for: pid))")
            attach(pid, probe, &diagnosis)
        }
    }

    private static func state(
        ofLedger path: String, of key: ProcessKey, _ probe: String?, _ diagnosis: inout Diagnosis
    ) {
        guard let sampling = (try? LedgerFile(path: path))?.sampling() else {
            return diagnosis.add("ledger", .missing, "\(path) cannot be read")
        }
        if sampling.isDetached {
            diagnosis.add(
                "ledger", .degraded, "the probe was detached: nothing is recorded since; \(path) has what was")
            attach(key.pid, probe, &diagnosis)
        } else if sampling.isPaused {
            diagnosis.add("ledger", .degraded, "the probe is paused: heaptide probe \(key.pid) --resume")
        } else {
            diagnosis.add("ledger", .ok, "the probe records this process in \(path)")
        }
    }
}
