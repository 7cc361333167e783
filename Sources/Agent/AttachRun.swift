import Attach
import Glibc
import LinuxMemory

/// `heaptide attach`: finds the probe and the place of the ledger, and says what to do next.
public enum AttachRun {
    public struct Options: Sendable {
        public var pid: Int32
        public var interval: ByteSize?
        public var ledgerFolder: String?
        public var probe: String?

        public init(pid: Int32, interval: ByteSize?, ledgerFolder: String?, probe: String?) {
            self.pid = pid
            self.interval = interval
            self.ledgerFolder = ledgerFolder
            self.probe = probe
        }
    }

    /// Returns what to tell the user.
    public static func attach(_ options: Options) throws -> String {
        let pid = options.pid
        guard let probe = Probe.locate(options.probe) else {
            let file = options.probe ?? "\(Probe.fileName) beside heaptide"
            throw AgentError(.system, "there is no probe (\(file)): give --probe FILE")
        }
        let name = try processName(pid)
        if let obstacle = Attachment(pid: pid).obstacle(probe: probe) { throw obstacle }
        let folder = try ledgerFolder(of: pid, given: options.ledgerFolder)
        let attached = try Attachment(pid: pid).attach(
            probe: probe, .init(ledgerFolder: folder, interval: options.interval.map { UInt64($0.bytes) }))
        let option = options.ledgerFolder.map { " --ledgers \($0)" } ?? ""
        return """
            \(name) (\(pid)) has the probe: \(attached.slots) call slots lead to it
            ledger:        \(attached.ledger)
            watch it:      heaptide agent --pid \(pid)\(option)
            look at once:  heaptide snapshot \(pid) --output /tmp/\(name).heaptide\(option)
            end:           heaptide attach \(pid) --detach

            """
    }

    public static func detach(pid: Int32) throws -> String {
        let name = try processName(pid)
        let slots = try Attachment(pid: pid).detach()
        return "\(name) (\(pid)) is recorded no more: \(slots) call slots led back\n"
    }

    private static func processName(_ pid: Int32) throws -> String {
        do { return try ProcFS().process(pid).name } catch { throw AgentError(.processUnreadable, "\(error)") }
    }

    /// Where the probe would write had it been there from the start, so that everybody finds the ledger.
    private static func ledgerFolder(of pid: Int32, given: String?) throws -> String {
        var status = stat()
        let user = LedgerPlace.owner(of: pid)
        var folder = "/tmp/heaptide-\(user)"
        if let given {
            folder = given.hasPrefix("/") ? given : absolute(".") + "/" + given
        } else if let block = readBytes("/proc/\(pid)/environ"), let named = Environment(block: block)["HEAPTIDE_DIR"],
            !named.isEmpty
        {
            folder = named.hasPrefix("/") ? named : (linkTarget("/proc/\(pid)/cwd") ?? "") + "/" + named
        }
        let seen = "/proc/\(pid)/root\(folder)"
        guard stat(seen, &status) == 0 else {
            let parent = folder.split(separator: "/").dropLast().joined(separator: "/")
            guard stat("/proc/\(pid)/root/\(parent)", &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw AgentError(
                    .folderUnusable, "\(folder): there is no /\(parent) for the ledger: name another folder")
            }
            return folder
        }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == user else {
            throw AgentError(
                .folderUnusable,
                "\(folder): not a folder of process \(pid)'s user (\(user)), who is to write the ledger: name another one "
                    + "with --ledgers")
        }
        return folder
    }
}
