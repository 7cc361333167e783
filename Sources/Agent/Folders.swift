import Glibc

/// Folders the agent makes and tidies.
enum Folders {
    /// Makes `path` with its parents and checks that files can be made in it.
    static func prepare(_ path: String, mode: mode_t, what: String) throws(AgentError) {
        var made = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            made += part.isEmpty ? "/" : "\(part)/"
            guard !part.isEmpty, mkdir(made, mode) != 0, errno != EEXIST, errno != EISDIR else { continue }
            let error = errno
            if access(made, F_OK) == 0 { continue }
            throw AgentError(
                .folderUnusable, "\(path): cannot make the folder for \(what) (\(reason(error))): name another one")
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw AgentError(.folderUnusable, "\(path): not a folder, so it cannot hold \(what): name another one")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw AgentError(
                .folderUnusable, "\(path): cannot write \(what) there (\(reason(errno))): name another folder")
        }
    }

    /// There is nothing of that name; false where that cannot be told.
    static func isMissing(_ path: String) -> Bool { access(path, F_OK) != 0 && errno == ENOENT }

    /// Of the folder or file.
    static func parent(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func names(in path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let record = readdir(folder) {
            names.append(
                withUnsafeBytes(of: &record.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names.filter { $0 != "." && $0 != ".." }
    }
}

/// The output folder: `NAME-TIME-PID-TRIGGER.heaptide`, of which the newest few are kept.
package struct SnapshotFolder {
    package let path: String
    package let keep: Int

    package init(path: String, keep: Int) {
        self.path = path
        self.keep = keep
    }

    /// A path that no file has.
    package func newPath(name: String, pid: Int32, trigger: String, time: Double) -> String {
        let base = "\(path)/\(Self.safe(name))-\(Clock.stamp(time))-\(pid)-\(trigger)"
        var candidate = base + ".heaptide"
        for number in 2..<100 where access(candidate, F_OK) == 0 { candidate = "\(base)-\(number).heaptide" }
        return candidate
    }

    /// Removes the oldest snapshots of `name` beyond `keep`: a service that is killed every hour must not fill a disk.
    /// So with those that were not finished, of which two may be in the making.
    package func prune(name: String) {
        let prefix = Self.safe(name) + "-"
        let own = Folders.names(in: path).filter { file in
            // The time follows at once, so that `web` does not count those of `web-admin`.
            file.hasPrefix(prefix) && file.dropFirst(prefix.count).prefix(8).allSatisfy(\.isNumber)
        }
        for (ending, most) in [(".heaptide", max(1, keep)), (".heaptide.partial", max(2, keep))] {
            for old in own.filter({ $0.hasSuffix(ending) }).sorted().dropLast(most) { unlink("\(path)/\(old)") }
        }
    }

    private static func safe(_ name: String) -> String {
        let kept = name.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "_" }
        return kept.isEmpty || kept[0] == "." ? "service" : String(kept.prefix(64))
    }
}
