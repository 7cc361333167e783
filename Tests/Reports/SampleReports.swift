import HeapProfile
import LeakAnalysis
import TimeSeries

/// Reports such as the analysis makes, with fixed figures.
enum SampleReports {
    static let record = "UserActivityTracker::record(std::string const&, std::basic_string_view<char>)"

    static var leak: LeakReport {
        let tracker = Suspect(
            rank: 1, confidence: 0.702, function: record, module: "activity-service-cxx", liveBytes: 125_829_120,
            liveCount: 838_860, bytesPerSecond: 2_097_152, low: 1_992_000, high: 2_202_000, growthShare: 0.97,
            freedShare: 0,
            ages: Ages(
                youngest: 0.012, median: 30.4, oldest: 60.1, births: (0..<24).map { 5e6 + Double($0 % 3) * 4e5 }),
            stack: [
                StackFrame(
                    function: record, module: "activity-service-cxx", file: "/src/user_activity_tracker.hpp", line: 41),
                StackFrame(
                    function: "ActivityService::trackUser(std::linear_congruential_engine<unsigned long, 48271ul, "
                        + "0ul, 2147483647ul>&)",
                    module: "activity-service-cxx", file: "/src/service.hpp", line: 80),
                StackFrame(function: "ActivityService::serve(int)", module: "activity-service-cxx"),
            ],
            evidence: [
                Evidence(
                    kind: .growth, text: "live bytes rise in a line by 2 MiB/s (1.90 MiB/s to 2.10 MiB/s)", weight: 1.5),
                Evidence(
                    kind: .survivors,
                    text: "blocks older than 134 ms, beyond which next to none is freed, were born evenly "
                        + "since the start: 2 MiB/s (1.90 MiB/s to 2.10 MiB/s)",
                    weight: 1.5),
                Evidence(kind: .samples, text: "rests on 1,920 sampled blocks: the rate is known to ±5%", weight: 0.25),
                Evidence(
                    kind: .agreement, text: "the rise and the survivors' births give different rates", weight: -0.5),
                Evidence(
                    kind: .observation, text: "only 1 min observed: a cache that is still filling looks the same",
                    weight: 0),
            ], sites: 3)
        let other = Suspect(
            rank: 2, confidence: 0.21, function: "Connection::accept(int)", module: "libnet.so.2", liveBytes: 900_000,
            liveCount: 12, bytesPerSecond: 4000, low: -3000, high: 11_000, growthShare: 0.03, freedShare: 0.62,
            ages: Ages(youngest: 1, median: 3, oldest: 9.5, births: [0, 0, 1, 0, 3, 5]),
            stack: [StackFrame(function: "Connection::accept(int)", module: "libnet.so.2")])
        return LeakReport(
            verdict: Verdict(
                class: .leak,
                summary: "UserActivityTracker::record leaks 2 MiB/s (169 GiB a day), high confidence; "
                    + "the limit is reached in 28 s."),
            growth: GrowthReport(
                bytesPerSecond: 2_150_000, low: 2_050_000, high: 2_250_000, pattern: .linear, source: .memory),
            timeToLimitSeconds: 28.4, usageBytes: 207_000_000, limitBytes: 268_435_456, suspects: [tracker, other],
            healthy: [
                SiteSummary(
                    function: "ProductCatalogue::ProductCatalogue()", module: "activity-service-cxx",
                    liveBytes: 48_000_000, liveCount: 100_000, freedShare: 0, behaviour: .startUp,
                    reason: "born mostly at the beginning"),
                SiteSummary(
                    function: "SessionCache::use(unsigned int)", module: "activity-service-cxx", liveBytes: 40_000_000,
                    liveCount: 20_000, freedShare: 0.88, behaviour: .turnover,
                    reason: "turns over: 88% freed, nothing outlives what is freed"),
            ],
            process: ProcessSummary(
                name: "activity-service-cxx", pid: 4711, startTime: 1_767_225_599.5, observedSeconds: 60.1),
            sampling: SamplingSummary(
                interval: 65_536, liveSamples: 3265, sites: 214, liveBytes: 214_000_000, allocatedBytes: 5_400_000_000,
                freedBytes: 5_186_000_000, probeTimeShare: 0.0012),
            warnings: ["stacks that were cut, their outermost frames missing: 2"])
    }

    /// With the heap itself read.
    static var held: LeakReport {
        var report = growth
        var heap = HeapSurvey(blockCount: 91_023, bytes: 88_000_000, sharedBytes: 4_000_000, pause: 0.163)
        heap.roots = [
            .init(
                kind: .global, name: "static UserActivityTracker.eventCache", type: "[String : [Event]]",
                module: "/opt/payments/payments", retainedBytes: 70_000_000, retainedCount: 80_123,
                container: .init(kind: "Dictionary", count: 75_012, capacity: 98_304)),
            .init(
                kind: .threadLocal, name: "recent", module: "/opt/payments/payments", thread: 4713,
                retainedBytes: 5_000_000, retainedCount: 5001, container: .init(kind: "Array", count: 1, capacity: nil)),
            .init(kind: .stack, name: "", thread: 4714, retainedBytes: 800_000, retainedCount: 7),
            .init(kind: .threadLocal, name: "", thread: 4714, retainedBytes: 80, retainedCount: 1),
        ]
        heap.types = [
            .init(name: "payments.Event", count: 80_000, shallowBytes: 8_000_000, retainedBytes: 69_000_000),
            .init(name: "40 bytes", count: 1, shallowBytes: 40, retainedBytes: 40),
        ]
        heap.leaks = [
            .init(
                type: "Session", heads: 2, bytes: 8192, count: 6, isCycle: true,
                way: ["Session", "Swift closure context or box of Session"]),
            .init(type: "7784 bytes", bytes: 7784, count: 1, isCycle: false),
        ]
        heap.collections = [
            .init(
                container: .init(kind: "Dictionary", count: 75_012, capacity: 98_304),
                type: "Swift._DictionaryStorage<Swift.String, Swift.Array>", root: 0, retainedBytes: 70_000_000,
                retainedCount: 80_122, addresses: [0x5000_1230]),
            .init(
                instances: 12, container: .init(kind: "std::list", count: 4000), owner: "payments::Ledger", root: 1,
                retainedBytes: 4_000_000, retainedCount: 4000, addresses: [0x7f00_1238, 0x7f00_2238]),
        ]
        heap.objects = [
            .init(
                address: 0x7f10_0010, type: "Swift._DictionaryStorage<Swift.String, Swift.Array>", bytes: 4_194_304,
                retainedBytes: 70_000_000, retainedCount: 80_122, holder: .root(0)),
            .init(
                address: 0x7f20_0010, type: "payments::Ledger", bytes: 96, retainedBytes: 4_200_000,
                retainedCount: 4001, holder: .root(1)),
        ]
        heap.roots += [9, 7, 8].map { thread in
            .init(
                kind: .threadLocal, name: "pending", module: "/opt/payments", thread: thread,
                retainedBytes: UInt64(thread) * 1_000_000, retainedCount: 100,
                container: .init(kind: "std::vector", count: 90, capacity: 128))
        }
        report.heap = heap
        report.lostSites = [LostSite(function: "parse(Request const&)", module: "payments", bytes: 123_456)]
        report.risingCollections = [
            RisingCollection(
                title: "static UserActivityTracker.eventCache : [String : [Event]]", kind: "Dictionary", count: 75_012,
                entriesPerSecond: 31.25, low: 30.9, high: 31.6, bytesPerEntry: 933, seconds: 2400)
        ]
        report.suspects = [leak.suspects[0]]
        report.suspects[0].holders = [
            Holder(kind: .root, root: heap.roots[0], share: 0.87), Holder(kind: .nothing, share: 0.12),
            Holder(kind: .others, share: 0.01),
        ]
        return report
    }

    static var stable: LeakReport {
        LeakReport(
            verdict: Verdict(
                class: .stable, summary: "Memory is stable, and no allocation site grows with confidence."),
            growth: GrowthReport(bytesPerSecond: 120, low: -4000, high: 4200, pattern: .flat, source: .heap),
            process: ProcessSummary(pid: 12, observedSeconds: 7261, ending: .exited),
            sampling: SamplingSummary(
                interval: 1, isExact: true, liveSamples: 12, sites: 3, liveBytes: 4096, allocatedBytes: 1e6,
                freedBytes: 1e6))
    }

    /// History only.
    static var growth: LeakReport {
        LeakReport(
            verdict: Verdict(
                class: .growth, summary: "Memory grows by 1 MiB/s (84.4 GiB a day); a heap profile would tell where."),
            growth: GrowthReport(
                bytesPerSecond: 1_048_576, low: 1e6, high: 1.1e6, pattern: .linear, source: .memory, onset: 31.5),
            usageBytes: 1e9, limitBytes: 8e9, process: ProcessSummary(name: "payments", observedSeconds: 3600))
    }

    static var unknown: LeakReport {
        LeakReport(
            verdict: Verdict(class: .unknown, summary: "Too little to judge."), growth: GrowthReport(),
            process: ProcessSummary())
    }
}
