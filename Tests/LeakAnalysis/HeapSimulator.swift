import HeapProfile
import TestSupport

/// Simulates allocation sites under Poisson byte sampling and gives the profile that the ledger would hold.
///
/// Each block of s bytes is sampled on its own with p(s) = 1 − exp(−s / interval), since the gaps are without memory.
/// A Poisson stream of blocks is therefore a Poisson stream of samples, and only those need be drawn.
struct HeapSimulator {
    let duration: Double
    let interval: Double
    var random: SplitMix64
    private var sites: [SimulatedSite] = []

    init(seed: UInt64, duration: Double, interval: Double = 65_536) {
        self.duration = duration
        self.interval = interval
        random = SplitMix64(seed: seed)
    }

    /// Adds an allocation site.
    /// - Parameter stack: demangled functions, the allocator's caller first.
    mutating func addSite(_ stack: [String]) -> Int {
        sites.append(SimulatedSite(stack: stack))
        return sites.count - 1
    }

    /// One block that is allocated at `birth` and freed at `death`, if that is before the end.
    mutating func allocate(
        _ site: Int, size: Double, at birth: Double, until death: Double = .infinity, thread: Int32 = 1
    ) {
        let probability = probability(size)
        guard birth < duration, unit() < probability else { return }
        sites[site].blocks.append(
            .init(birth: birth, death: death, size: size, weight: 1 / probability, thread: thread))
    }

    /// A Poisson stream of blocks.
    /// - Parameters:
    ///   - rate: bytes per second.
    ///   - lifetime: in seconds, of a block born at the given time.
    mutating func stream(
        _ site: Int, rate: Double, size: Double, from start: Double = 0, to end: Double = .infinity,
        threads: Int32 = 1, lifetime: (_ birth: Double, inout HeapSimulator) -> Double = { _, _ in .infinity }
    ) {
        let probability = probability(size)
        let samplesPerSecond = rate / size * probability
        let end = min(end, duration)
        var time = start + exponential(1 / samplesPerSecond)
        while time < end {
            let thread = threads > 1 ? 1 + Int32(truncatingIfNeeded: random.next() % UInt64(threads)) : 1
            let death = time + lifetime(time, &self)
            sites[site].blocks.append(
                .init(birth: time, death: death, size: size, weight: 1 / probability, thread: thread))
            time += exponential(1 / samplesPerSecond)
        }
    }

    /// Even in 0..<1. Not `Double.random`, whose generic code is slow in debug builds.
    mutating func unit() -> Double { Double(random.next() >> 11) * 0x1p-53 }
    mutating func exponential(_ mean: Double) -> Double { -mean * logarithm(1 - unit()) }

    func probability(_ size: Double) -> Double { interval <= 1 ? 1 : 1 - exponentiate(-size / interval) }
}

// MARK: - The ledger's side

extension HeapSimulator {
    /// What a reader would find at the end, and the names that the stacks resolve to.
    func finish() -> (profile: HeapProfile, symbols: SymbolTable) {
        var symbols = SymbolTable()
        var addresses: [String: CodeAddress] = [:]
        var profile = HeapProfile(
            process: ProcessIdentity(pid: 42, startTime: 1_700_000_000),
            sampling: Sampling(firstInterval: UInt64(interval), interval: UInt64(interval)), duration: duration,
            modules: [Module(path: "/opt/service/bin/service", start: 0x1000, end: 0x100_0000)])
        for (number, site) in sites.enumerated() {
            let stack = site.stack.map { function in
                if let known = addresses[function] { return known }
                let address = CodeAddress(module: 0, offset: 0x1000 + UInt64(addresses.count) * 0x40)
                addresses[function] = address
                symbols.frames[address] = [Frame(function: function, module: "service", file: "main.cpp", line: 1)]
                return address
            }
            profile.sites.append(site.record(stack: stack, duration: duration))
            for block in site.blocks where block.death >= duration {
                profile.samples.append(
                    LiveSample(
                        size: UInt64(block.size), birth: block.birth, weight: Float(block.weight), site: Int32(number),
                        thread: block.thread))
            }
        }
        return (profile, symbols)
    }
}

/// The sampled blocks of one stack.
private struct SimulatedSite {
    struct Block {
        var birth: Double
        var death: Double
        var size: Double
        var weight: Double
        var thread: Int32
        var bytes: Double { size.rounded(.down) * weight }
    }

    var stack: [String]
    var blocks: [Block] = []

    func record(stack: [CodeAddress], duration: Double) -> Site {
        var site = Site(stack: stack, first: duration)
        for block in blocks {
            site.allocated.add(block.bytes, block.weight)
            site.first = min(site.first, block.birth)
            site.last = max(site.last, block.birth)
            if block.death < duration {
                site.freed.add(block.bytes, block.weight)
                site.lifetimes[octave(block.death - block.birth)] += 1
            } else {
                site.live.add(block.bytes, block.weight)
            }
        }
        addHistory(to: &site, duration: duration)
        return site
    }

    /// Checkpoints as the probe leaves them: each touch fills the periods that are over with the value so far, and when
    /// 32 are written every second one is kept and the period doubles.
    private func addHistory(to site: inout Site, duration: Double) {
        let last = blocks.reduce(0) { max($0, $1.birth, $1.death < duration ? $1.death : 0) }
        while last >= 32 * site.historyPeriod { site.historyPeriod *= 2 }
        let period = site.historyPeriod
        var changes = [Double](repeating: 0, count: Int(last / period) + 1)
        for block in blocks {
            changes[Int(block.birth / period)] += block.bytes
            if block.death < duration { changes[Int(block.death / period)] -= block.bytes }
        }
        var live = 0.0
        for change in changes.dropLast() {
            live += change
            site.history.append(Float(live))
        }
    }

    private func octave(_ lifetime: Double) -> Int {
        var edge = Double(1 << 20) / 1e9
        var index = 0
        while lifetime >= edge, index < 31 {
            edge *= 2
            index += 1
        }
        return index
    }
}

extension Estimate {
    fileprivate mutating func add(_ bytes: Double, _ count: Double) {
        self.bytes += bytes
        self.count += count
        samples += 1
    }
}
