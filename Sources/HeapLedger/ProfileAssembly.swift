import CHeapLedger
import HeapProfile

/// A profile in the making: what was read, how it hangs together, and what had to be left out.
struct ProfileAssembly {
    private var code = CodeMap()
    private var sites: [Site] = []
    private var samples: ContiguousArray<LiveSample> = []
    /// `hl_sample.thinning` of each sample.
    private var thinnings: ContiguousArray<UInt8> = []
    /// Index into `sites` of each slot of the ledger's table, −1 for none.
    private var dense: [Int32] = []
    private var warnings: [String] = []
    private var samplesAreWhole = true
    private var damaged = Damage()

    private struct Damage {
        var modules = 0
        var sites = 0
        var stacks = 0
        var samples = 0
    }

    /// Sites with equal stacks are one: two threads may have inserted it at the same time, or a library that was
    /// loaded in between has started a new generation. Bare addresses mean something only within their generation.
    private struct Identity: Hashable {
        var stack: [CodeAddress]
        var isCut: Bool
        var generation: UInt64?
    }

    /// Reads the live samples, again when the probe thinned its table meanwhile. Returns the header they belong to.
    mutating func readSamples(_ ledger: borrowing LedgerFile) -> hl_header {
        var header = ledger.header()
        for _ in 0..<4 {
            readSamplesOnce(ledger)
            let after = ledger.header()
            // The probe first counts a thinning, then drops samples one by one.
            let isSteady = after.thinnings == header.thinnings && after.samples_thinned == header.samples_thinned
            header = after
            if isSteady { break }
        }
        return header
    }

    /// Where the file was cut, none: those that are left are no fair share, of the old ones more than of the young.
    private mutating func readSamplesOnce(_ ledger: borrowing LedgerFile) {
        samples.removeAll(keepingCapacity: true)
        thinnings.removeAll(keepingCapacity: true)
        damaged.samples = 0
        let capacity = ledger.layout.sites.capacity
        samplesAreWhole = ledger.forEachSample { address, record in
            guard record.size <= plausibleBlock, record.birth_ns <= plausibleTime, record.weight.isFinite,
                record.weight >= 1, record.weight <= 0x1p60, record.thinning <= maximumThinnings,
                Int(record.site) < capacity
            else {
                damaged.samples += 1
                return
            }
            samples.append(
                LiveSample(
                    size: record.size, birth: seconds(record.birth_ns), weight: record.weight,
                    site: Int32(bitPattern: record.site), thread: Int32(bitPattern: record.thread), address: address))
            thinnings.append(UInt8(record.thinning))
        }
        if !samplesAreWhole { (samples, thinnings) = ([], []) }
        dense = Array(repeating: -1, count: capacity)
    }

    /// Takes over the sites with their stacks. Those that repeat a stack are added to the first of its kind.
    mutating func addSites(
        _ ledger: borrowing LedgerFile, _ records: [(index: Int, site: hl_site)], header: hl_header, duration: UInt64
    ) {
        code = CodeMap(ledger, damaged: &damaged.modules)
        let grid = SiteHistory.grid(header, duration: duration)
        var known: [Identity: Int32] = [:]
        // Stacks lie in the arena side by side: sites that claim more than all of it are lying.
        var framesLeft = ledger.layout.frames.capacity
        for (index, record) in records {
            let frames = Int(record.depth) <= framesLeft ? ledger.frames(of: record) : []
            framesLeft -= frames.count
            // Depth 0 is sound: the arena was full.
            if frames.isEmpty, record.depth > 0 { damaged.stacks += 1 }
            let stack = frames.map { code.resolve($0, generation: record.generation) }
            let site = makeSite(record, stack: stack, header: header, grid: grid, duration: duration)
            let identity = Identity(
                stack: stack, isCut: site.isCut,
                generation: stack.contains { $0.module < 0 } ? record.generation : nil)
            if let first = known[identity] {
                sites[Int(first)].merge(site)
                dense[index] = first
            } else {
                dense[index] = Int32(clamping: sites.count)
                known[identity] = dense[index]
                sites.append(site)
            }
        }
    }

    private mutating func makeSite(
        _ record: hl_site, stack: [CodeAddress], header: hl_header, grid: (period: UInt64, length: Int),
        duration: UInt64
    ) -> Site {
        var site = Site(stack: stack, isCut: record.flags & UInt32(HL_SITE_CUT) != 0)
        site.first = seconds(min(record.first_ns, record.last_ns, duration))
        site.last = seconds(min(max(record.first_ns, record.last_ns), duration))
        site.lifetimes = withUnsafeBytes(of: record.lifetimes) { Array($0.bindMemory(to: UInt32.self)) }
        site.historyPeriod = seconds(grid.period)
        guard let counters = SiteCounters(record) else {
            damaged.sites += 1
            return site
        }
        site.allocated = counters.allocated
        site.freed = counters.freed
        let live = counters.allocated.minus(counters.freed)
        if !samplesAreWhole { site.live = live }
        if let history = SiteHistory(record, largest: header.period_ns) {
            site.history = history.aligned(to: grid.period, length: grid.length, current: live.bytes)
        }
        return site
    }

    /// Gives each sample its site and its weight of today, and sums them up as the sites' live estimates.
    mutating func attachSamples(thinnings latest: UInt32, duration: UInt64) {
        let end = seconds(duration)
        let latestBirth = max(end, sites.map(\.last).max() ?? 0) + 1
        var kept = 0
        for i in samples.indices {
            var sample = samples[i]
            // The probe books on a site as soon as its slot is taken. One that is not published has no stack yet.
            let published = dense[Int(UInt32(bitPattern: sample.site))]
            let site = published >= 0 ? published : dense[0]
            guard site >= 0, sample.birth <= latestBirth else {
                damaged.samples += 1
                continue
            }
            sample.site = site
            sample.birth = min(sample.birth, end)
            let doublings = Int(latest) - Int(thinnings[i])
            sample.weight *= Float(sign: .plus, exponent: min(max(0, doublings), Int(maximumThinnings)), significand: 1)
            samples[kept] = sample
            kept += 1
            if samplesAreWhole {
                sites[Int(site)].live.add(
                    Estimate(
                        bytes: sample.bytes, count: Double(sample.weight), samples: 1, variance: sample.variance))
            }
        }
        samples.removeLast(samples.count - kept)
    }

    consuming func finish(process: ProcessIdentity, sampling: Sampling, duration: UInt64) -> HeapProfile {
        func warn(_ count: Int, _ what: String) {
            if count > 0 { warnings.append("the ledger is damaged: \(count) \(what)") }
        }
        warn(damaged.modules, "modules left out; some addresses have no module")
        warn(damaged.sites, "allocation sites without counters")
        warn(damaged.stacks, "allocation sites without their stacks")
        warn(damaged.samples, "live samples left out")
        if !samplesAreWhole {
            warnings.append(
                "the ledger was cut: its live samples are left out; live bytes and rates come from the sites' counters")
        }
        return HeapProfile(
            process: process, sampling: sampling, duration: seconds(duration), modules: code.modules, sites: sites,
            samples: samples, warnings: warnings)
    }
}

extension Site {
    /// Adds what another record of the same stack has counted. Both histories are on one grid.
    fileprivate mutating func merge(_ other: Site) {
        // A site that never allocated has no times of its own.
        first = allocated.samples == 0 ? other.first : other.allocated.samples == 0 ? first : min(first, other.first)
        last = max(last, other.last)
        allocated.add(other.allocated)
        freed.add(other.freed)
        live.add(other.live)
        history = history.count == other.history.count ? zip(history, other.history).map { $0 + $1 } : []
        for i in lifetimes.indices where i < other.lifetimes.count { lifetimes[i] &+= other.lifetimes[i] }
    }
}
