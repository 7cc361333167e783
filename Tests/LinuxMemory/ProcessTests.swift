import FoundationEssentials
import Glibc
import LinuxMemory
import Testing

@Suite struct ProcessTests {
    @Test func readsAProcess() throws {
        let tree = try FixtureTree(processFiles(42))
        let process = try tree.process(42)
        #expect(process.pid == 42 && process.name == "service" && process.state == "S" && process.parent == 1)
        #expect(process.residentBytes == 100 << 20 && process.anonymousBytes == 80 << 20)
        #expect(process.fileBytes == 16 << 20 && process.shmemBytes == 4 << 20 && process.swapBytes == 12 << 10)
        #expect(process.virtualBytes == 200 << 20 && process.dataBytes == 150_000 << 10)
        #expect(process.pageTableBytes == 480 << 10 && process.threads == 7)
        #expect(process.uid == 1000 && process.gid == 2000)
        #expect(process.startTicks == 188_482 && process.minorFaults == 1020 && process.majorFaults == 3)
        #expect(process.cpuSeconds == 400 / Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    @Test func namesMayHoldAnything() throws {
        let name = "a) R 9 (b\n\t"
        let tree = try FixtureTree(processFiles(42, name: name, state: "D"))
        let process = try tree.process(42)
        #expect(process.name == name && process.state == "D" && process.startTicks == 188_482)
    }

    @Test func namesThatTheKernelCutAreMadeWhole() throws {
        let long = processFiles(42, name: "activity-servic", arguments: ["/opt/activity-service", "x"])
        #expect(try FixtureTree(long).process(42).name == "activity-service")
        let renamed = processFiles(42, name: "worker number 1", arguments: ["/opt/activity-service"])
        #expect(try FixtureTree(renamed).process(42).name == "worker number 1")
    }

    @Test func oldKernelsHaveTheirSharesInStatm() throws {
        var files = processFiles(42)
        files["proc/42/status"] = files["proc/42/status"]?.split(separator: "\n")
            .filter { !$0.hasPrefix("Rss") }.joined(separator: "\n")
        let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        let process = try FixtureTree(files).process(42)
        #expect(process.anonymousBytes == (25600 - 5120) * page && process.fileBytes == 5120 * page)
    }

    @Test func kernelThreadsHaveNoMemory() throws {
        var files = processFiles(2, name: "kthreadd", arguments: [])
        files["proc/2/status"] = "Name:\tkthreadd\nThreads:\t1\n"
        let tree = try FixtureTree(files)
        let process = try tree.process(2)
        #expect(process.residentBytes == 0 && process.anonymousBytes == 0 && process.threads == 1)
        #expect(tree.commandLine(of: 2) == [])
        #expect(process.absence == "process 2 has ended, or is a thread of the kernel")
    }

    @Test func readsARollup() throws {
        let tree = try FixtureTree([
            "proc/42/smaps_rollup": """
            55c6e2c31000-7fffd32d6000 ---p 00000000 00:00 0                          [rollup]
            Rss:                1748 kB
            Pss:                 331 kB
            Pss_Anon:            112 kB
            Private_Clean:        52 kB
            Private_Dirty:       112 kB
            Anonymous:           113 kB
            LazyFree:             64 kB
            AnonHugePages:      2048 kB
            Swap:                  3 kB
            SwapPss:               1 kB
            Locked:                4 kB

            """
        ])
        let rollup = try tree.rollup(42)
        #expect(rollup.residentBytes == 1748 << 10 && rollup.proportionalBytes == 331 << 10)
        #expect(rollup.privateCleanBytes == 52 << 10 && rollup.privateDirtyBytes == 112 << 10)
        #expect(rollup.anonymousBytes == 113 << 10 && rollup.lazyFreeBytes == 64 << 10)
        #expect(rollup.hugePageBytes == 2 << 20 && rollup.swapBytes == 3 << 10 && rollup.lockedBytes == 4 << 10)
    }

    @Test func findsByEveryName() throws {
        let tree = try FixtureTree(
            merge(
                processFiles(300, name: "service"),
                processFiles(12, name: "python3", arguments: ["/opt/bin/service", "--port", "80"]),
                processFiles(77, name: "other", arguments: ["other"]),
                processFiles(78, name: "service", state: "Z", arguments: []),
                processFiles(90, name: "exeonly", arguments: ["x"]),
                ["proc/notapid/stat": "1 (service) S", "proc/99999999999/stat": "1 (service) S"]))
        symlink("/usr/sbin/service", tree.root + "/proc/90/exe")
        #expect(tree.find(name: "service") == [12, 90, 300])
        #expect(tree.find(name: "nothing") == [])
        #expect(ProcFS(root: "/nonexistent").find(name: "service") == [])
    }

    @Test func bootIDHasNoHyphens() throws {
        let path = "proc/sys/kernel/random/boot_id"
        let tree = try FixtureTree([path: "0F8fad5b-d9cb-469f-a165-70867728950e\n"])
        #expect(tree.bootID() == "0f8fad5bd9cb469fa16570867728950e")
        try tree.write(path, Array("not-an-id\n".utf8))
        #expect(tree.bootID() == nil)
    }
}

@Suite struct ErrorTests {
    private func error(_ body: () throws -> Void) -> LinuxMemoryError? {
        do { try body() } catch { return error as? LinuxMemoryError }
        return nil
    }

    @Test(arguments: [0, -1, Int32.min, Int32.max]) func aPidThatIsNone(pid: Int32) {
        let error = error { _ = try ProcFS().process(pid) }
        #expect(error?.code == .noSuchProcess)
        #expect(error?.description == "process \(pid) does not exist: check its number, it may have ended")
        #expect(ProcFS().descriptorCount(pid) == nil && ProcFS().commandLine(of: pid) == nil)
    }

    @Test func aFileThatIsNotAsItShouldBe() throws {
        let tree = try FixtureTree(["proc/5/status": "", "proc/5/stat": "5 service S", "proc/5/smaps_rollup": "x"])
        for error in [
            error { _ = try tree.process(5) }, error { _ = try tree.rollup(5) },
        ] {
            #expect(error?.code == .malformed)
            #expect(error?.description.contains("\n") == false)
        }
    }

    @Test func whatMayNotBeRead() throws {
        let tree = try FixtureTree(["proc/5/smaps_rollup": "Rss: 4 kB"])
        // Root may read everything, so the refusal has to come from elsewhere: a folder in the file's place.
        let folder = tree.root + "/proc/6/smaps_rollup"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        #expect(error { _ = try tree.rollup(6) }?.code == .system(EISDIR))
        guard geteuid() != 0 else { return }
        chmod(tree.root + "/proc/5/smaps_rollup", 0)
        let refused = error { _ = try tree.rollup(5) }
        #expect(refused?.code == .notPermitted)
        #expect(refused?.description.contains("run heaptide as the user of process 5") == true)
    }
}

/// The running kernel, as the process that runs the tests sees itself.
@Suite struct RealProcTests {
    private let procfs = ProcFS()
    private let me = getpid()

    @Test func itself() throws {
        let process = try procfs.process(me)
        #expect(process.pid == me && process.parent == getppid())
        #expect(process.uid == getuid() && process.gid == getgid())
        #expect("RSD".contains(process.state))
        #expect(process.threads >= 1 && process.startTicks > 0)
        #expect(process.residentBytes > 1 << 20 && process.virtualBytes >= process.residentBytes)
        let parts = process.anonymousBytes + process.fileBytes + process.shmemBytes
        #expect(parts == process.residentBytes)
    }

    @Test func rollupSeesTouchedMemory() throws {
        let size = 64 << 20
        // Other tests run beside this one, and may free as much just now.
        let isSeen = try (0..<50).contains { _ in
            let before = try procfs.rollup(me)
            let memory = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
            #expect(memory != MAP_FAILED)
            defer { munmap(memory, size) }
            memset(memory, 1, size)
            let after = try procfs.rollup(me)
            #expect(after.residentBytes >= after.anonymousBytes)
            return after.anonymousBytes >= before.anonymousBytes + UInt64(size) / 2
        }
        #expect(isSeen)
    }

    @Test func descriptors() throws {
        let before = try #require(procfs.descriptorCount(me))
        let files = (0..<200).map { _ in dup(2) }
        defer { for file in files { close(file) } }
        #expect((procfs.descriptorCount(me) ?? 0) >= before + 100)
    }

    @Test func findsItself() throws {
        let name = try procfs.process(me).name
        #expect(procfs.find(name: name).contains(me))
        #expect(procfs.commandLine(of: me) == CommandLine.arguments)
        #expect(procfs.bootID()?.utf8.count == 32)
    }

    /// Whatever this machine mounts, what is reported fits together.
    @Test func cgroup() throws {
        guard let group = try procfs.cgroup(of: me) else { return }
        #expect(group.unreclaimableBytes <= group.currentBytes)
        #expect(group.currentBytes > 0 && !group.stat.isEmpty)
        #expect(FileManager.default.fileExists(atPath: group.path))
        for limit in group.limits { #expect(limit.limitBytes > 0 && limit.usageBytes > 0) }
    }
}
