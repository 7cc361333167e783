import CHeapLedger
import HeapProfile

/// Beyond these a number in a ledger is damage: 36 years in nanoseconds, 2^60 bytes, 2^48 bytes in one block.
let plausibleTime: UInt64 = 1 << 60
let plausibleBytes: UInt64 = 1 << 60
let plausibleBlock: UInt64 = 1 << 48

/// Each thinning doubles what one sample stands for: 2^60 blocks are past any heap.
let maximumThinnings: UInt32 = 60

func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e9 }

func hexadecimal(_ bytes: UnsafeRawBufferPointer) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// A site's counters as estimates; nil where they are damaged.
struct SiteCounters {
    var allocated: Estimate
    var freed: Estimate

    init?(_ site: hl_site) {
        guard max(site.alloc_bytes, site.free_bytes) <= plausibleBytes,
            max(site.alloc_count_x256, site.free_count_x256) <= plausibleBytes,
            max(site.alloc_samples, site.free_samples) <= plausibleBytes
        else { return nil }
        allocated = Estimate(
            bytes: Double(site.alloc_bytes), count: Double(site.alloc_count_x256) / 256, samples: site.alloc_samples,
            variance: Self.variance(site.alloc_variance))
        freed = Estimate(
            bytes: Double(site.free_bytes), count: Double(site.free_count_x256) / 256, samples: site.free_samples,
            variance: Self.variance(site.free_variance))
    }

    private static func variance(_ value: Double) -> Double { value.isFinite && value > 0 ? value : 0 }
}

extension Estimate {
    mutating func add(_ other: Estimate) {
        bytes += other.bytes
        count += other.count
        samples &+= other.samples
        variance += other.variance
    }

    /// Never below zero: the two sides of a running process were read at slightly different moments.
    func minus(_ other: Estimate) -> Estimate {
        Estimate(
            bytes: max(0, bytes - other.bytes), count: max(0, count - other.count),
            samples: samples > other.samples ? samples - other.samples : 0,
            variance: max(0, variance - other.variance))
    }
}

extension Sampling {
    init(_ header: hl_header) {
        self.init(
            firstInterval: max(1, header.first_interval), interval: max(1, header.interval),
            thinnings: Int(min(header.thinnings, maximumThinnings)))
        samplesTaken = header.samples_taken
        samplesFreed = header.samples_freed
        samplesDropped = header.samples_dropped
        samplesThinned = header.samples_thinned
        stacksLost = header.sites_dropped
        stacksCut = header.stacks_cut
        stacksFailed = header.stacks_failed
        modulesDropped = header.modules_dropped
        historySkipped = header.history_skipped
        slowPathCount = header.slow_path_count
        slowPathSeconds = seconds(header.slow_path_ns)
        slowPathWorstSeconds = seconds(header.slow_path_worst_ns)
        slowPathOctaves = withUnsafeBytes(of: header.slow_path_octaves) { Array($0.bindMemory(to: UInt64.self)) }
        widestInterval = max(1, header.widest_interval)
        paced = header.paced
        stalled = header.stalled
        samplesPaused = header.samples_paused
        pausedAt = header.order_pause == 1 ? seconds(min(header.order_pause_ns, plausibleTime)) : nil
        isAttached = header.flags & UInt32(HL_FLAG_ATTACHED) != 0
        isDetached = header.state == UInt32(HL_STATE_DETACHED)
        memoryBytes = header.memory_bytes
        ledgerBytes = header.file_size
        hasUnwinder = header.flags & UInt32(HL_FLAG_UNWINDER) != 0
    }
}
