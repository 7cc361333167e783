import HeapProfile
import Snapshot
import TestSupport

/// A snapshot of `sites` allocation sites, different for each seed.
func sampleContents(sites: Int = 40, samples: Int = 400, seed: UInt64 = 1) -> SnapshotContents {
    var random = SplitMix64(seed: seed)
    let profile = sampleProfile(sites: sites, samples: samples, random: &random)
    let limit: UInt64 = 256 << 20
    let process = ProcessState(
        name: "activity", commandLine: "activity --rate 5\nand a second line", pid: 4242, capturedAt: 1.7e9,
        trigger: "limit", residentBytes: limit, anonymousBytes: limit, threads: 7, descriptors: 12,
        limitBytes: limit, limitSource: "cgroup v2", usageBytes: UInt64.max, unreclaimableBytes: 1,
        cgroupPath: "/a/b", host: "ünïcode", extra: ["pressure": 0.25])
    var contents = SnapshotContents(process: process)
    contents.profile = profile
    for index in 0..<400 {
        var point = MemoryPoint(
            time: 1.7e9 + Double(index), residentBytes: UInt64(index) << 20, anonymousBytes: random.next())
        if index % 3 != 0 { point.cgroupBytes = 77 }
        if index % 2 != 0 { point.heapLiveBytes = UInt64(index) }
        contents.history.append(point)
    }
    contents.heap = sampleHeap()
    contents.counts = [
        CollectionCounts(
            title: "static Tracker.cache : [String : [Event]]", kind: "Dictionary", isSample: true,
            bytesPerEntry: 155.5, times: [1.7e9, 1.7e9 + 5.25], counts: [100, 131]),
        CollectionCounts(title: "", kind: "std::list", bytesPerEntry: 0),
    ]
    contents.alerts = [Alert(time: 1.7e9, kind: "growth", text: "it's growing; DROP TABLE site")]
    let addresses = Set(profile.sites.flatMap(\.stack)).sorted { ($0.module, $0.offset) < ($1.module, $1.offset) }
    for (index, address) in addresses.enumerated() where index % 4 != 0 {
        let parameters = String(repeating: "T, ", count: index % 50)
        let full = Frame(
            function: "function\(index)<\(parameters)>", module: "service", file: "/src/main.swift", line: index,
            isInlined: true, offset: address.offset)
        let bare = Frame(function: nil, module: "service", offset: address.offset)
        contents.symbols.frames[address] = Array([full, full, bare].suffix(1 + index % 3))
    }
    return contents
}

private func sampleHeap() -> HeapSurvey {
    var heap = HeapSurvey(
        blockCount: 12, bytes: .max, sharedBytes: 3, pause: 0.25, doubts: ["a list of free chunks is broken"])
    heap.roots = [
        .init(
            kind: .global, name: "static Tracker.cache", type: "[String : [Event]]", module: "/opt/service",
            retainedBytes: .max, retainedCount: 11,
            container: .init(kind: "Dictionary", count: 75_012, capacity: 98_304)),
        .init(kind: .threadLocal, name: "", thread: 77, retainedBytes: 8, retainedCount: 1),
        .init(
            kind: .stack, name: "", thread: 78, retainedBytes: 7, retainedCount: 1,
            container: .init(kind: "std::map or set", count: 2)),
    ]
    heap.types = [
        .init(
            name: "app::Event; DROP TABLE type", count: .max, shallowBytes: 900, retainedBytes: 9000,
            holders: [
                .init(place: .objects("std::map, '", root: 1), count: .max), .init(place: .root(2), count: 3),
                .init(place: .others, count: 2), .init(place: .nothing, count: 1),
            ]), .init(name: "40 bytes", count: 1, shallowBytes: 40, retainedBytes: 40),
    ]
    heap.leaks = [.init(type: "Ring", bytes: 2048, count: 2, isCycle: true, way: ["Ring", "a, b"])]
    heap.collections = [
        .init(
            container: .init(kind: "Dictionary", count: 75_012, capacity: 98_304),
            type: "Swift._DictionaryStorage<A, B>",
            root: 0, retainedBytes: .max, retainedCount: 9, addresses: [.max, 0], sampledCount: .max),
        .init(
            instances: .max, container: .init(kind: "std::list", count: 3), elementSize: .max, owner: "app::Tracker",
            offset: .max, retainedBytes: 1, retainedCount: 2, unusedBytes: .max, addresses: []),
    ]
    heap.texts = .init(
        count: 900, bytes: .max, duplicateBytes: 5, unusedBytes: 6,
        largest: [.init(count: 3, length: 40, owner: "app::Event")])
    heap.objects = [
        .init(address: .max, type: "app::Tracker", bytes: 64, retainedBytes: 900, retainedCount: 8, holder: .root(2)),
        .init(address: 16, type: "40 bytes", bytes: 40, retainedBytes: 800, retainedCount: 7, holder: .object(0)),
        .init(
            address: 64, type: "40 bytes", bytes: 40, retainedBytes: 700, retainedCount: 6, holder: .others,
            owners: [0, 2], ownerCount: 11),
    ]
    heap.holdings = [
        .init(site: 3, holder: .root(0), bytes: 1e6), .init(site: 3, holder: .others, bytes: 17),
        .init(site: 4, holder: .nothing, bytes: 0.5),
    ]
    return heap
}

func sampleProfile(sites: Int, samples: Int, random: inout SplitMix64) -> HeapProfile {
    func estimate() -> Estimate {
        Estimate(
            bytes: Double.random(in: 0...1e9, using: &random), count: Double.random(in: 0...1e6, using: &random),
            samples: random.next() >> 8)
    }
    var sampling = Sampling(firstInterval: 65536, interval: 131_072, thinnings: 1)
    sampling.samplesTaken = UInt64.max
    var profile = HeapProfile(
        process: ProcessIdentity(pid: 4242, startTicks: 9, bootID: "00ff", startTime: 1.7e9, startMonotonic: 5),
        sampling: sampling, duration: 120.5)
    profile.modules = (0..<6).map { index in
        Module(
            path: "/usr/lib/lib\(index).so", buildID: index == 3 ? "" : "ab0\(index)", start: random.next(),
            end: random.next(), bias: random.next())
    }
    profile.sites = (0..<sites).map { _ in
        let depth = Int.random(in: 0..<30, using: &random)
        return Site(
            stack: (0..<depth).map { _ in
                CodeAddress(
                    module: Int32.random(in: -1..<6, using: &random),
                    offset: UInt64.random(in: 0..<500, using: &random) &* 0x0100_0000_0000_0801)
            },
            isCut: Bool.random(using: &random), allocated: estimate(), freed: estimate(), live: estimate(),
            first: 0.5, last: 100, historyPeriod: 4,
            history: (0..<Int.random(in: 0...32, using: &random)).map { _ in Float.random(in: 0...1e9, using: &random)
            },
            lifetimes: (0..<32).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) })
    }
    profile.samples = ContiguousArray(
        (0..<samples).map { index in
            LiveSample(
                size: random.next() >> 20, birth: Double(index) * 0.01,
                weight: Float.random(in: 1...500, using: &random),
                site: Int32(index % max(1, sites)), thread: Int32(index % 9))
        })
    profile.warnings = ["the ledger was cut"]
    return profile
}

/// Writes all stages; leaves the `.partial` where it is told not to finish.
func writeSnapshot(_ contents: SnapshotContents, to path: String, finishing: Bool = true) throws {
    let writer = try SnapshotWriter(path: path)
    try writer.write(process: contents.process)
    if let profile = contents.profile { try writer.write(profile: profile) }
    try writer.write(history: contents.history, alerts: contents.alerts, counts: contents.counts)
    try writer.write(symbols: contents.symbols)
    if let heap = contents.heap { try writer.write(heap: heap) }
    if finishing { try writer.finish() }
}

func isOneLine(_ text: String) -> Bool { !text.isEmpty && !text.contains(where: \.isNewline) }

/// What a reader promises of any file it opens.
func isSound(_ contents: SnapshotContents) -> Bool {
    guard contents.isPartial == !contents.warnings.isEmpty, contents.warnings.allSatisfy(isOneLine) else {
        return false
    }
    guard let profile = contents.profile else { return true }
    return profile.sites.allSatisfy { site in
        site.stack.allSatisfy { (-1..<profile.modules.count).contains(Int($0.module)) } && site.live.bytes.isFinite
            && site.lifetimes.count == 32 && site.history.count <= 32
    }
        && profile.samples.allSatisfy {
            profile.sites.indices.contains(Int($0.site)) && $0.weight >= 1 && $0.weight.isFinite && $0.birth.isFinite
        }
}

/// Every stage of `contents` is that of `whole`, or is missing and named.
func isPart(_ contents: SnapshotContents, of whole: SnapshotContents) -> Bool {
    let text = contents.warnings.joined()
    var profile = whole.profile
    if text.contains("the live samples") { profile?.samples = [] }
    return contents.process == whole.process
        && contents.profile == (text.contains("the allocation sites") ? nil : profile)
        && contents.history == (text.contains("the memory history") ? [] : whole.history)
        && contents.alerts == (text.contains("the memory history") ? [] : whole.alerts)
        && contents.counts == (text.contains("the memory history") ? [] : whole.counts)
        && contents.symbols == (text.contains("the symbols") ? SymbolTable() : whole.symbols)
        && (contents.heap == nil || contents.heap == whole.heap)
}
