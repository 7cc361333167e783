import FoundationEssentials
import Glibc
import HeapLedger
import HeapProfile
import HeapWalk
import LeakAnalysis
import LinuxMemory
import Symbolication

/// How a process is kept from changing its heap while that is read.
public enum FreezeMethod: String, Codable, Sendable, CaseIterable {
    case fork, copy, stop
}

/// What a helper process needs to read a heap, for which the process stands still.
struct HeapRequest: Codable {
    var pid: Int32
    /// The ledger, where there is one: of other allocators than glibc's it tells the blocks.
    var ledger: String?
    /// Bytes that this may take; nil: any.
    var room: UInt64?
    /// Nil: by fork where that leaves no trace and its cgroup has room for half of it, else by a copy where there is room for
    /// that.
    var freeze: FreezeMethod?
    /// Also tell what texts say that are there many times.
    var quotesTexts = false
    /// Rather not at all than let it stand still for long.
    var isBrief = false

    /// Who holds what, with names as people know them.
    func survey(_ samples: ContiguousArray<LiveSample> = []) throws(HeapWalkError) -> HeapSurvey {
        let symbolicator = Symbolicator()
        return try HeapSnapshotter.survey(
            pid, freeze: method, copyRoom: copyRoom, recorded: recorded, samples: samples, room: room,
            quotesTexts: quotesTexts,
            symbols: symbolicator.variables
        ).demangled()
    }

    /// All blocks, where the probe has recorded each.
    private func recorded() -> HeapInventory? {
        guard let ledger, let profile = try? LedgerFile(path: ledger).profile(at: Clock.monotonicNanoseconds()),
            profile.sampling.isExact, !profile.sampling.isAttached, profile.sampling.samplesDropped == 0
        else { return nil }
        return HeapInventory(recorded: profile.samples.lazy.map { ($0.address, $0.size) })
    }

    /// Pages that the process writes to while its copy lives are charged to its cgroup.
    private var method: Freeze {
        if let freeze, let asked = Freeze(rawValue: freeze.rawValue) { return asked }
        if isBrief { return .brief }
        let files = ProcFS()
        guard let tightest = ((try? files.cgroup(of: pid)) ?? nil)?.tightest, let memory = try? files.process(pid)
        else { return .automatic }
        return tightest.headroomBytes >= memory.anonymousBytes / 2 ? .automatic : .copy
    }

    /// Copied in half a second.
    private static let brief: UInt64 = 512 << 20

    /// Half of what is free on the machine, in this process's cgroup, and below the limit that it shares with the process.
    private var copyRoom: UInt64 {
        let files = ProcFS()
        let own = ((try? files.cgroup(of: getpid())) ?? nil)?.tightest?.headroomBytes
        let free = ([files.availableBytes(), own, room].compactMap(\.self).min() ?? 0) / 2
        return isBrief ? min(free, Self.brief) : free
    }
}
