import Glibc

/// A folder in which probes put their ledgers, named `PID-START.ledger` with START in nanoseconds of CLOCK_MONOTONIC.
public struct LedgerFolder: Sendable, Equatable {
    public let path: String

    public init(path: String) { self.path = path }

    /// Paths of the ledgers of `pid`, newest first; several where a pid was used again or a program called exec.
    /// Empty where the folder cannot be read.
    public func ledgers(of pid: Int32) -> [String] { entries().filter { $0.pid == pid }.map(path(of:)) }

    /// Paths of all ledgers, newest first.
    public func all() -> [String] { entries().map(path(of:)) }

    /// HEAPTIDE_DIR, else `/tmp/heaptide-UID`: where the probe writes when it has the same environment.
    public static func defaultPath(environment: [String: String]) -> String {
        if let folder = environment["HEAPTIDE_DIR"], !folder.isEmpty { return folder }
        return "/tmp/heaptide-\(getuid())"
    }

    private struct Entry {
        var name: String
        var pid: Int32
        var start: UInt64

        /// nil for a name that the probe does not give.
        init?(_ name: String) {
            guard name.hasSuffix(".ledger") else { return nil }
            let parts = name.dropLast(".ledger".count).split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let pid = Int32(parts[0]), pid > 0, let start = UInt64(parts[1]) else { return nil }
            self.name = name
            self.pid = pid
            self.start = start
        }
    }

    private func path(of entry: Entry) -> String { path.hasSuffix("/") ? path + entry.name : "\(path)/\(entry.name)" }

    private func entries() -> [Entry] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var entries: [Entry] = []
        while let record = readdir(folder) {
            let name = withUnsafeBytes(of: &record.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let entry = Entry(name) { entries.append(entry) }
        }
        return entries.sorted { ($0.start, $0.pid) > ($1.start, $1.pid) }
    }
}
