extension ProcFS {
    /// The memory cgroup that a process is charged to; nil where there is none to be seen: no memory controller, a
    /// process in the root cgroup, or in a container that this one cannot look into. About 0.5 ms, most of
    /// it in the kernel, which sums memory.stat over the processors.
    ///
    /// A machine may mount v1 and v2 side by side; the memory controller is then in only one of them.
    public func cgroup(of pid: Int32) throws(LinuxMemoryError) -> CgroupMemory? {
        let membership = CgroupMembership(try read("cgroup", of: pid))
        for (version, path) in [(1, membership.v1), (2, membership.v2)] {
            guard let path, let group = locate(path, version: version, pid: pid) else { continue }
            if let memory = memory(of: group) { return memory }
        }
        return nil
    }

    /// A cgroup's folder, and the folder of the mount that it is in. `view` leads to the mounts' name space.
    private struct Group {
        var version: Int
        var view: String
        var mount: String
        var relative: String

        var folder: String { view + mount + relative }

        var parent: Group? {
            guard let slash = relative.lastIndex(of: "/") else { return nil }
            var parent = self
            parent.relative = String(relative[..<slash])
            return parent
        }

        var currentFile: String { version == 1 ? "memory.usage_in_bytes" : "memory.current" }
        var limitFile: String { version == 1 ? "memory.limit_in_bytes" : "memory.max" }
    }

    /// Looks through the mounts of this process first, then through those of the other: a neighbouring container's
    /// cgroup is seen only from inside.
    private func locate(_ path: String, version: Int, pid: Int32) -> Group? {
        for (process, view) in [("self", ""), ("\(pid)", "/proc/\(pid)/root")] {
            guard case .success(let mountinfo) = readFile("/proc/\(process)/mountinfo") else { continue }
            for mount in CgroupMount.all(mountinfo) where mount.version == version {
                for relative in CgroupMembership.candidates(for: path, in: mount) {
                    let group = Group(version: version, view: view, mount: mount.folder, relative: relative)
                    if let group = charged(group) { return group }
                }
            }
        }
        return nil
    }

    /// The nearest cgroup upwards that counts memory: in v2 the controller may not be handed down so far. Nil where the
    /// folder is not there at all.
    private func charged(_ group: Group) -> Group? {
        guard exists(group.folder) else { return nil }
        var next: Group? = group
        while let group = next {
            if number(group.currentFile, of: group) != nil { return group }
            next = group.parent
        }
        return nil
    }

    private func memory(of group: Group) -> CgroupMemory? {
        guard let own = usage(of: group) else { return nil }
        var memory = CgroupMemory(
            version: group.version, path: group.folder, currentBytes: own.current,
            unreclaimableBytes: own.unreclaimable,
            limits: limits(from: group, own: own), stat: own.stat.values)
        if group.version == 1 {
            memory.oomKills = keyed("memory.oom_control", of: group)["oom_kill"]
            memory.swapBytes = own.stat["total_swap"]
            if let limit = limit("memory.limit_in_bytes", of: group) {
                memory.swapLimitBytes = self.limit("memory.memsw.limit_in_bytes", of: group).map { $0.less(limit) }
            }
        } else {
            // Hierarchical, unlike memory.events.local: a kill in a sub-cgroup is one of this service's.
            memory.oomKills = keyed("memory.events", of: group)["oom_kill"]
            memory.swapBytes = number("memory.swap.current", of: group)
            memory.swapLimitBytes = limit("memory.swap.max", of: group)
            memory.pressureSomeAvg10 = bytes("memory.pressure", of: group).flatMap(parsePressure)
        }
        return memory
    }

    /// Limits from `group` up to the mount's root, each with its own level's usage.
    private func limits(from group: Group, own: Usage) -> [CgroupMemory.Limit] {
        var limits: [CgroupMemory.Limit] = []
        func add(_ group: Group, _ limit: UInt64, _ usage: Usage) {
            limits.append(
                CgroupMemory.Limit(
                    path: group.folder, limitBytes: limit, usageBytes: usage.current,
                    unreclaimableBytes: usage.unreclaimable))
        }
        var next: (group: Group, usage: Usage?)? = (group, own)
        while let (group, known) = next {
            if let limit = limit(group.limitFile, of: group), let usage = known ?? usage(of: group) {
                add(group, limit, usage)
            }
            // In v1 before Linux 5.11 a parent may leave its children out of its account.
            next = group.parent.flatMap { number("memory.use_hierarchy", of: $0) == 0 ? nil : ($0, nil) }
        }
        // v1 also tells the lowest limit of ancestors that a container cannot see; their usage is at least this one's.
        let lowest = limits.map(\.limitBytes).min() ?? .max
        if group.version == 1, let hidden = own.stat["hierarchical_memory_limit"], hidden < 1 << 60,
            hidden < lowest
        {
            add(group, hidden, own)
        }
        return limits
    }

    private typealias Usage = (current: UInt64, unreclaimable: UInt64, stat: KeyedNumbers)

    private func usage(of group: Group) -> Usage? {
        guard let current = number(group.currentFile, of: group) else { return nil }
        let stat = keyed("memory.stat", of: group)
        return (current, unreclaimable(current: current, stat: stat, version: group.version), stat)
    }

    private func bytes(_ file: String, of group: Group) -> [UInt8]? {
        guard case .success(let bytes) = readFile(group.folder + "/" + file) else { return nil }
        return bytes
    }

    private func keyed(_ file: String, of group: Group) -> KeyedNumbers { KeyedNumbers(bytes(file, of: group) ?? []) }

    private func limit(_ file: String, of group: Group) -> UInt64? { bytes(file, of: group).flatMap(parseLimit) }

    private func number(_ file: String, of group: Group) -> UInt64? {
        guard var text = bytes(file, of: group)?[...] else { return nil }
        return parseNumber(&text)
    }
}
