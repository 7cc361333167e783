import LinuxMemory
import Testing

@Suite struct CgroupTests {
    private let mount = "sys/fs/cgroup"

    @Test func v2WithNestedLimits() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 2, path: "/app.slice/web.service"),
                v2("\(mount)/app.slice", current: 900, max: "1000"),
                v2("\(mount)/app.slice/web.service", current: 100, max: "500")))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.version == 2 && group.path == "/sys/fs/cgroup/app.slice/web.service")
        #expect(group.currentBytes == 100)
        #expect(group.unreclaimableBytes == 100 - 25 - 12 - 10 + 5 + 2)
        #expect(group.oomKills == 3, "hierarchical events, not the local ones")
        #expect(group.pressureSomeAvg10 == 1.25)
        #expect(group.swapBytes == 8 && group.swapLimitBytes == nil)
        #expect(group.stat["anon"] == 50)
        #expect(group.limits.map(\.limitBytes) == [500, 1000])
        #expect(group.limits.map(\.usageBytes) == [100, 900])
        // The parent is nearly full, with neighbours' memory: its limit strikes first though it is twice as high.
        #expect(group.tightest?.path == "/sys/fs/cgroup/app.slice")
        #expect(group.tightest?.headroomBytes == 140)
    }

    @Test func v1WithHugeLimitsIsUnlimited() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 1, path: "/docker/abc", folder: "/sys/fs/cgroup/memory"),
                v1("\(mount)/memory", current: 5000),
                v1("\(mount)/memory/docker", current: 400),
                v1("\(mount)/memory/docker/abc", current: 200)))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.version == 1 && group.path == "/sys/fs/cgroup/memory/docker/abc")
        #expect(group.limits.isEmpty && group.tightest == nil)
        #expect(group.currentBytes == 200 && group.unreclaimableBytes == 200 - 37 + 5)
        #expect(group.oomKills == 4 && group.swapBytes == 6 && group.swapLimitBytes == nil)
        #expect(group.pressureSomeAvg10 == nil)
    }

    @Test func v1WithNestedLimits() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 1, path: "/a/b", folder: "/sys/fs/cgroup/memory"),
                v1("\(mount)/memory", current: 5000),
                v1("\(mount)/memory/a", current: 700, limit: "800", hierarchical: "800"),
                v1("\(mount)/memory/a/b", current: 200, limit: "1000", hierarchical: "800")))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.limits.map(\.limitBytes) == [1000, 800])
        #expect(group.limits.map(\.usageBytes) == [200, 700])
        #expect(group.swapLimitBytes == 0)
    }

    @Test func v1ParentThatLeavesItsChildrenOut() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 1, path: "/a/b", folder: "/sys/fs/cgroup/memory"),
                v1("\(mount)/memory/a", current: 700, limit: "800", useHierarchy: 0),
                v1("\(mount)/memory/a/b", current: 200)))
        #expect(try tree.cgroup(of: 7)?.limits == [])
    }

    /// Docker on v1, no cgroup namespace: the mount shows only the container's part, membership the host's path.
    @Test func containerWithABoundMount() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(
                    7, version: 1, path: "/docker/abc/worker", mountRoot: "/docker/abc", folder: "/sys/fs/cgroup/memory"
                ),
                v1("\(mount)/memory", current: 300, limit: "400", hierarchical: "350"),
                v1("\(mount)/memory/worker", current: 100, hierarchical: "350")))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.path == "/sys/fs/cgroup/memory/worker")
        // The host's limit of 350 is on a cgroup that cannot be seen; the kernel tells of it all the same.
        #expect(group.limits.map(\.limitBytes) == [400, 350])
    }

    /// Membership shows the host's path, the mount calls itself the root: its own folder is the container.
    @Test(arguments: [1, 2]) func containerWithPathsOutsideOfTheMount(version: Int) throws {
        let files = version == 1 ? v1(mount, current: 300, limit: "400") : v2(mount, current: 300, max: "400")
        let tree = try FixtureTree(merge(cgroupFiles(7, version: version, path: "/kubepods/pod1/abc"), files))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.path == "/sys/fs/cgroup" && group.tightest?.limitBytes == 400)
    }

    /// A cgroup namespace: the container's cgroup is `/`, its limit on the mount's own folder.
    @Test func containerWithANamespace() throws {
        let tree = try FixtureTree(merge(cgroupFiles(7, version: 2, path: "/"), v2(mount, current: 300, max: "400")))
        #expect(try tree.cgroup(of: 7)?.tightest?.limitBytes == 400)
    }

    /// A sidecar sees its neighbour outside of its namespace: its own cgroup must not be taken for the neighbour's,
    /// which is found through the neighbour's mounts.
    @Test func neighbouringContainer() throws {
        let own = merge(
            cgroupFiles(7, version: 2, path: "/../service"), v2(mount, current: 300, max: "400"))
        #expect(try FixtureTree(own).cgroup(of: 7) == nil)
        let mounts = cgroupFiles(7, version: 2, path: "/../service", mountRoot: "/../service", process: "7")
        let seen = try FixtureTree(merge(own, mounts, v2("proc/7/root/\(mount)", current: 90, max: "100")))
        let group = try #require(try seen.cgroup(of: 7))
        #expect(group.currentBytes == 90 && group.path == "/proc/7/root/sys/fs/cgroup")
    }

    /// v1 memory beside an empty v2 tree, as on machines with systemd's hybrid layout.
    @Test func hybrid() throws {
        let tree = try FixtureTree(
            merge(
                v1("\(mount)/memory/a", current: 200, limit: "1000"),
                [
                    "\(mount)/unified/cgroup.controllers": "\n",
                    "proc/7/cgroup": "4:memory:/a\n1:name=systemd:/\n0::/a\n",
                    "proc/self/mountinfo": """
                    31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
                    32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
                    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw

                    """,
                ]))
        let group = try #require(try tree.cgroup(of: 7))
        #expect(group.version == 1 && group.tightest?.limitBytes == 1000)
    }

    /// v2 does not hand the controller down to every leaf: the parent is charged.
    @Test func controllerNotHandedDown() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 2, path: "/a/leaf"), v2("\(mount)/a", current: 300, max: "400"),
                ["\(mount)/a/leaf/cgroup.procs": "7\n"]))
        #expect(try tree.cgroup(of: 7)?.path == "/sys/fs/cgroup/a")
    }

    @Test func noMemoryController() throws {
        let v2Root = try FixtureTree(
            merge(cgroupFiles(7, version: 2, path: "/"), ["\(mount)/memory.stat": "anon 5\n"]))
        #expect(try v2Root.cgroup(of: 7) == nil)
        #expect(try FixtureTree(["proc/7/cgroup": ""]).cgroup(of: 7) == nil)
        #expect(throws: LinuxMemoryError.self) { try FixtureTree([:]).cgroup(of: 7) }
    }

    @Test func foldersWithBlanksAndColons() throws {
        let tree = try FixtureTree(
            merge(
                cgroupFiles(7, version: 2, path: "/a:b/c d", folder: "/mnt/my\\040groups"),
                v2("mnt/my groups/a:b/c d", current: 70, max: "80")))
        #expect(try tree.cgroup(of: 7)?.path == "/mnt/my groups/a:b/c d")
    }
}
