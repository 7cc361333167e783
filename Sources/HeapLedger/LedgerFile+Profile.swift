import CHeapLedger
public import HeapProfile

extension LedgerFile {
    /// Everything the ledger holds, as one value.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds, for a process that still runs. nil, for a ledger whose process
    ///   has ended, stands for the moment of its last entry.
    ///
    /// Costs one pass over the file and about 32 bytes a live sample, 1 KB a site. It never fails: what a damaged or
    /// cut ledger cannot give is left out and named in `warnings`. The target may write meanwhile; what is read last
    /// (modules, stacks, sites) was published before what is read first (samples), so that nothing hangs in the air.
    public func profile(at now: UInt64? = nil) -> HeapProfile {
        var assembly = ProfileAssembly()
        let header = assembly.readSamples(self)
        let records = publishedSites()
        let latest = self.header()  // read after the sites: no site's history is on a coarser grid than this
        let duration = Self.duration(latest, now: now, sites: records)
        assembly.addSites(self, records, header: latest, duration: duration)
        assembly.attachSamples(thinnings: header.thinnings, duration: duration)
        return assembly.finish(process: identity(), sampling: Sampling(header), duration: duration)
    }

    /// Published sites by index. Site 0, on which the probe books what found no place, counts as published always.
    private func publishedSites() -> [(index: Int, site: hl_site)] {
        var sites: [(index: Int, site: hl_site)] = []
        forEachPublished(layout.sites, hl_site.self, twice: true) { index, site in
            sites.append((index, site.history_lock == 0 ? site : unlockedSite(at: index) ?? site))
        }
        if sites.first?.index != 0, let lost = site(at: 0) { sites.insert((0, lost), at: 0) }
        return sites
    }

    /// Reads a site again whose history was being written. A thread holds that lock for some stores only; where it
    /// stays held the process was killed there, and the history is given up.
    private func unlockedSite(at index: Int) -> hl_site? {
        for _ in 0..<16 {
            if let site = site(at: index), site.history_lock == 0 { return site }
        }
        return nil
    }

    /// Nanoseconds since recording began, to the moment from which on nothing is known.
    private static func duration(_ header: hl_header, now: UInt64?, sites: [(index: Int, site: hl_site)]) -> UInt64 {
        let isDetached = header.state == UInt32(HL_STATE_DETACHED)
        let end = (isDetached ? nil : now).map { time(header, $0) } ?? lastEntry(header, sites)
        return header.order_pause == 1 ? min(end, header.order_pause_ns) : end
    }

    private static func lastEntry(_ header: hl_header, _ sites: [(index: Int, site: hl_site)]) -> UInt64 {
        let last = sites.map(\.site.last_ns).filter { $0 <= plausibleTime }.max() ?? 0
        return header.last_write_ns <= plausibleTime ? max(header.last_write_ns, last) : last
    }

    /// The ledger's time, in nanoseconds, at `now` on CLOCK_MONOTONIC: since its start, without pauses that are over.
    static func time(_ header: hl_header, _ now: UInt64) -> UInt64 {
        let since = now > header.start_monotonic_ns ? now - header.start_monotonic_ns : 0
        return min(plausibleTime, since > header.order_paused_ns ? since - header.order_paused_ns : 0)
    }
}
