internal import Glibc

/// Reads what Linux tells about the memory of processes: /proc and the cgroup file systems.
///
/// Holds no file open and keeps nothing between calls, since a process may be moved to another cgroup at any time.
public struct ProcFS: Sendable {
    private let root: String

    /// - Parameter root: folder below which `proc` and the cgroup mounts are looked for; another one than `/` serves
    ///   tests, and an agent that has the host's root mounted somewhere.
    public init(root: String = "/") { self.root = root.hasSuffix("/") ? String(root.dropLast()) : root }

    /// Memory, time and identity, from `status`, `stat` and, on kernels before 4.5, `statm`. About 0.1 ms.
    public func process(_ pid: Int32) throws(LinuxMemoryError) -> ProcessMemory {
        let status = KeyedNumbers(try read("status", of: pid))
        guard let stat = ProcessStat(try read("stat", of: pid)) else {
            throw .malformed("/proc/\(pid)/stat", missing: "name in parentheses with 20 numbers after it")
        }
        // statm only where it is needed: it tells less than status does.
        let needsShares = status["VmRSS"] != nil && status["RssAnon"] == nil
        let statm = needsShares ? try read("statm", of: pid) : []
        var memory = ProcessMemory(pid: pid, status: status, stat: stat, statm: statm)
        memory.name = wholeName(of: pid, stat.name)
        return memory
    }

    /// What the kernel cut is made whole by the executable's file name or the first argument's.
    private func wholeName(of pid: Int32, _ name: String) -> String {
        guard name.utf8.count == 15 else { return name }
        let files = [link("/proc/\(pid)/exe"), commandLine(of: pid)?.first].compactMap { $0.map(fileName) }
        return files.first { $0.hasPrefix(name) } ?? name
    }

    /// The memory map, summed. Dear: the kernel walks every page table of the process under its lock, 8–11 ms per GiB
    /// of 4 KiB pages, and seconds on the largest processes. Needs the permission to trace the process.
    public func rollup(_ pid: Int32) throws(LinuxMemoryError) -> SmapsRollup {
        guard let rollup = SmapsRollup(KeyedNumbers(try read("smaps_rollup", of: pid))) else {
            throw .malformed("/proc/\(pid)/smaps_rollup", missing: "Rss")
        }
        return rollup
    }

    /// Open file descriptors; nil where the process may not be traced or has ended. About 1 µs each.
    public func descriptorCount(_ pid: Int32) -> Int? {
        entries("/proc/\(pid)/fd")?.count
    }

    /// Running processes with this name, lowest pid first: the kernel's name for them (cut to 15 bytes), the file name
    /// of their first argument, or that of their executable. About 20 µs for each process of the machine.
    public func find(name: String) -> [Int32] {
        let pids = (entries("/proc") ?? []).compactMap { Int32($0) }
        return pids.filter { $0 > 0 && matches($0, name) }.sorted()
    }

    /// The arguments a process was started with; empty for kernel threads, nil where it has ended.
    public func commandLine(of pid: Int32) -> [String]? {
        guard var bytes = try? read("cmdline", of: pid) else { return nil }
        if bytes.last == 0 { bytes.removeLast() }
        guard !bytes.isEmpty else { return [] }
        return bytes.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Memory of the whole machine that could be taken without swapping; nil where /proc/meminfo does not tell.
    public func availableBytes() -> UInt64? {
        guard case .success(let bytes) = readFile("/proc/meminfo") else { return nil }
        return KeyedNumbers(bytes)["MemAvailable"]
    }

    /// Identifies the running boot: 32 lower-case hexadecimal digits.
    public func bootID() -> String? {
        guard case .success(let bytes) = readFile("/proc/sys/kernel/random/boot_id") else { return nil }
        let digits = String(decoding: bytes, as: UTF8.self).lowercased().filter { $0 != "-" && $0 != "\n" }
        return digits.utf8.count == 32 && digits.allSatisfy { $0.isHexDigit } ? digits : nil
    }

    private func matches(_ pid: Int32, _ name: String) -> Bool {
        guard let bytes = try? read("stat", of: pid), let stat = ProcessStat(bytes), !"ZX".contains(stat.state) else {
            return false
        }
        if stat.name == name { return true }
        if let first = commandLine(of: pid)?.first, fileName(first) == name { return true }
        return link("/proc/\(pid)/exe").map(fileName) == name
    }

    private func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}

// MARK: Files below the root

extension ProcFS {
    /// The errno of a failed call.
    struct Failure: Error { var number: Int32 }

    /// One of the files of /proc/PID.
    func read(_ name: String, of pid: Int32) throws(LinuxMemoryError) -> [UInt8] {
        guard pid > 0 else { throw .noSuchProcess(pid) }
        let path = "/proc/\(pid)/\(name)"
        switch readFile(path) {
        case .success(let bytes): return bytes
        case .failure(let failure): throw LinuxMemoryError(reading: path, of: pid, errno: failure.number)
        }
    }

    /// A whole file, up to 16 MiB.
    func readFile(_ path: String) -> Result<[UInt8], Failure> {
        let file = open(root + path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return .failure(Failure(number: errno)) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < 16 << 20 {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return .failure(Failure(number: errno)) }
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return .success(bytes)
    }

    /// The names in a folder, without `.` and `..`.
    private func entries(_ path: String) -> [String]? {
        guard let folder = opendir(root + path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    private func link(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink(root + path, &target, target.count)
        guard length > 0 else { return nil }
        return String(decoding: target[..<length].lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }
}
