import FoundationEssentials
import LinuxMemory

/// A root folder with the files of /proc and of the cgroup file systems that a test is about; gone with the value.
final class FixtureTree {
    let root: String

    /// - Parameter files: contents by path below the root.
    init(_ files: [String: String]) throws {
        root = FileManager.default.temporaryDirectory.appending(path: "heaptide-\(UUID().uuidString)").path
        for (path, text) in files { try write(path, Array(text.utf8)) }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    // A temporary tree has to outlive the call that reads it.
    private func read<T>(_ body: (ProcFS) throws -> T) rethrows -> T {
        try withExtendedLifetime(self) { try body(ProcFS(root: root)) }
    }

    func process(_ pid: Int32) throws -> ProcessMemory { try read { try $0.process(pid) } }
    func rollup(_ pid: Int32) throws -> SmapsRollup { try read { try $0.rollup(pid) } }
    func cgroup(of pid: Int32) throws -> CgroupMemory? { try read { try $0.cgroup(of: pid) } }
    func commandLine(of pid: Int32) -> [String]? { read { $0.commandLine(of: pid) } }
    func find(name: String) -> [Int32] { read { $0.find(name: name) } }
    func bootID() -> String? { read { $0.bootID() } }

    func write(_ path: String, _ bytes: [UInt8]) throws {
        let folder = "\(root)/\(path)".split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: "/" + folder, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(filePath: "\(root)/\(path)"))
    }
}

/// The files of one process.
func processFiles(
    _ pid: Int, name: String = "service", state: Character = "S", arguments: [String] = ["/usr/bin/service"]
) -> [String: String] {
    [
        "proc/\(pid)/status": """
        Name:\t\(name)
        Umask:\t0022
        State:\t\(state) (sleeping)
        PPid:\t1
        Uid:\t1000\t1001\t1001\t1001
        Gid:\t2000\t2000\t2000\t2000
        VmSize:\t  204800 kB
        VmRSS:\t  102400 kB
        RssAnon:\t   81920 kB
        RssFile:\t   16384 kB
        RssShmem:\t    4096 kB
        VmData:\t  150000 kB
        VmPTE:\t     480 kB
        VmSwap:\t      12 kB
        Threads:\t7
        SigQ:\t0/96365

        """,
        "proc/\(pid)/stat":
            "\(pid) (\(name)) \(state) 1 5 5 0 -1 4194304 1020 0 3 0 250 150 0 0 20 0 7 0 188482 209715200 25600 "
            + "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        "proc/\(pid)/statm": "51200 25600 5120 5 0 90 0\n",
        "proc/\(pid)/cmdline": arguments.map { $0 + "\0" }.joined(),
    ]
}

/// mountinfo and cgroup membership of a machine with the memory controller in one hierarchy.
func cgroupFiles(
    _ pid: Int, version: Int, path: String, mountRoot: String = "/", folder: String = "/sys/fs/cgroup",
    process: String = "self"
) -> [String: String] {
    let mount =
        version == 1
        ? "35 31 0:32 \(mountRoot) \(folder) rw,relatime shared:7 - cgroup cgroup rw,memory"
        : "30 23 0:26 \(mountRoot) \(folder) rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
    return [
        "proc/\(process)/mountinfo": "22 1 0:21 / /proc rw,nosuid - proc proc rw\n\(mount)\n",
        "proc/\(pid)/cgroup": version == 1 ? "9:name=systemd:/\n4:cpu,memory:\(path)\n0::/\n" : "0::\(path)\n",
    ]
}

/// One v2 cgroup of `current` bytes, of which 30 are clean page cache, 5 dirty, 2 under writeback and 10 slab.
func v2(_ folder: String, current: Int, max: String = "max") -> [String: String] {
    [
        "\(folder)/memory.current": "\(current)\n",
        "\(folder)/memory.max": "\(max)\n",
        "\(folder)/memory.stat":
            "anon 50\nfile 37\ninactive_file 25\nactive_file 12\nfile_dirty 5\nfile_writeback 2\nshmem 3\n"
            + "slab_reclaimable 10\nslab_unreclaimable 4\n",
        "\(folder)/memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n",
        "\(folder)/memory.events.local": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
        "\(folder)/memory.pressure":
            "some avg10=1.25 avg60=0.50 avg300=0.10 total=123\nfull avg10=0.75 avg60=0.00 avg300=0.00 total=45\n",
        "\(folder)/memory.swap.current": "8\n",
        "\(folder)/memory.swap.max": "max\n",
    ]
}

/// One v1 cgroup of `current` bytes, of which 37 are page cache, 5 of that dirty.
func v1(
    _ folder: String, current: Int, limit: String = "9223372036854771712", hierarchical: String = "9223372036854771712",
    useHierarchy: Int = 1
) -> [String: String] {
    [
        "\(folder)/memory.usage_in_bytes": "\(current)\n",
        "\(folder)/memory.limit_in_bytes": "\(limit)\n",
        "\(folder)/memory.memsw.limit_in_bytes": "\(limit)\n",
        "\(folder)/memory.use_hierarchy": "\(useHierarchy)\n",
        "\(folder)/memory.stat":
            "cache 1\nrss 1\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit \(hierarchical)\n"
            + "total_inactive_file 25\ntotal_active_file 12\ntotal_dirty 5\ntotal_writeback 0\ntotal_swap 6\n",
        "\(folder)/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    ]
}

func merge(_ files: [String: String]...) -> [String: String] {
    files.reduce(into: [:]) { $0.merge($1) { $1 } }
}
