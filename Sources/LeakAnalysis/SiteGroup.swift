import HeapProfile

/// Sites whose innermost application function is the same one, whoever calls it: the unit that is judged.
///
/// A collection's memory comes from several stacks (nodes, buckets, keys), so that a ranking by site puts a leak
/// behind healthy memory that happens to have only one.
struct SiteGroup: Sendable {
    var function: String
    var module: String
    /// Of the site with most live bytes.
    var stack: [StackFrame] = []
    var sites: [Site] = []
    /// Their indices in the profile.
    var numbers: [Int] = []
    var allocated = Estimate()
    var freed = Estimate()
    var live = Estimate()
    /// Of each site, in order of birth.
    var samples: [[LiveSample]] = []

    var freedShare: Double {
        allocated.bytes > 0 ? (freed.bytes / allocated.bytes).clamped(to: 0...1) : 0
    }

    /// Standard deviation of the live bytes that sampling brings. 0 when exact.
    var samplingError: Double { samples.joined().reduce(0) { $0 + $1.variance }.squareRoot() }

    /// Sites whose blocks move to larger ones.
    var movingSites: [Site] { sites.filter(\.movesToLargerBlocks) }

    /// Share of the live bytes that is of blocks that move, 0…1.
    var movingShare: Double {
        live.bytes > 0 ? (movingSites.reduce(0) { $0 + $1.live.bytes } / live.bytes).clamped(to: 0...1) : 0
    }

    var movesToLargerBlocks: Bool { movingShare >= 0.5 }
}

extension Site {
    /// Blocks that are alive are much larger than those that were freed: a collection that moves to larger storage
    /// as it grows. Its blocks' ages say nothing then, as each move is a new birth.
    var movesToLargerBlocks: Bool {
        guard freed.count > 0, live.count > 0, freed.bytes >= allocated.bytes * 0.25 else { return false }
        return live.average >= 1.5 * freed.average
    }
}

extension LiveSample {
    /// Fit to be summed.
    var isSound: Bool {
        birth.isFinite && birth >= 0 && weight >= 1 && weight < 1e12 && size < 1 << 52
    }
}

// MARK: - Grouping

extension SiteGroup {
    /// Every site of the profile in exactly one group.
    static func groups(of profile: HeapProfile, symbols: SymbolTable, showsFoldedFrames: Bool) -> [SiteGroup] {
        var stacks = StackResolver(profile: profile, symbols: symbols)
        let samples = samplesBySite(profile)
        var groups: [SiteGroup] = []
        var heaviest: [Double] = []
        var indexOfKey: [StackResolver.Key: Int] = [:]
        for (number, site) in profile.sites.enumerated() {
            let site = site.sound()
            let (key, stack) = stacks.resolve(site.stack, showsFoldedFrames: showsFoldedFrames)
            let index = indexOfKey[key] ?? groups.count
            if index == groups.count {
                indexOfKey[key] = index
                groups.append(SiteGroup(function: key.function, module: key.module))
                heaviest.append(-1)
            }
            if site.live.bytes > heaviest[index] {
                heaviest[index] = site.live.bytes
                groups[index].stack = stack
            }
            groups[index].add(site, number, samples[number])
        }
        return groups
    }

    private mutating func add(_ site: Site, _ number: Int, _ samples: [LiveSample]) {
        sites.append(site)
        numbers.append(number)
        self.samples.append(samples)
        allocated = allocated + site.allocated
        freed = freed + site.freed
        live = live + site.live
    }

    /// Another group's sites; the stack stays.
    mutating func add(_ other: SiteGroup) {
        for index in other.sites.indices { add(other.sites[index], other.numbers[index], other.samples[index]) }
    }

    private static func samplesBySite(_ profile: HeapProfile) -> [[LiveSample]] {
        var result = [[LiveSample]](repeating: [], count: profile.sites.count)
        for sample in profile.samples where sample.isSound && result.indices.contains(Int(sample.site)) {
            result[Int(sample.site)].append(sample)
        }
        for index in result.indices { result[index].sort { $0.birth < $1.birth } }
        return result
    }
}

extension Estimate {
    static func + (a: Estimate, b: Estimate) -> Estimate {
        Estimate(
            bytes: a.bytes + b.bytes, count: a.count + b.count, samples: a.samples &+ b.samples,
            variance: a.variance + b.variance)
    }

    /// Bytes of one block.
    var average: Double { count > 0 ? bytes / count : 0 }

    func sound() -> Estimate {
        Estimate(bytes: bytes.sound, count: count.sound, samples: samples, variance: variance.sound)
    }
}

extension Site {
    /// With finite numbers only.
    func sound() -> Site {
        var site = self
        site.allocated = allocated.sound()
        site.freed = freed.sound()
        site.live = live.sound()
        site.first = first.sound
        site.historyPeriod = historyPeriod.sound
        site.history = history.map { $0.isFinite ? max(0, $0) : 0 }
        return site
    }
}
