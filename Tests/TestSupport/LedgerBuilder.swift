public import CHeapLedger

/// Makes valid ledgers in the words of a test:
///
///     var ledger = LedgerBuilder()
///     ledger.module("/usr/bin/service", at: 0x1000, size: 0x1000)
///     let site = ledger.site([0x1010, 0x1020])
///     ledger.live(site, size: 100, at: 1.5)
///     let bytes = ledger.bytes()
///
/// Counters follow from what is booked, as the probe's would. `header` and the records are open to a test that wants
/// something odd.
public struct LedgerBuilder {
    public var header = hl_header()
    public var modules: [hl_module] = []
    public var names: [UInt8] = []
    /// Site 0 is the one for stacks that were lost.
    public var sites: [hl_site] = []
    public var frames: [UInt64] = []
    public var samples: [(key: UInt64, sample: hl_sample)] = []
    /// Room in each table beyond what is used.
    public var spare = 8
    private var nextAddress: UInt64 = 0x7000_0000_0000

    public init(pid: UInt32 = 4242, interval: UInt64 = 1, duration: Double = 10) {
        header.magic = HL_MAGIC
        header.layout_version = HL_LAYOUT_VERSION
        header.header_size = HL_HEADER_SIZE
        header.pid = pid
        header.state = UInt32(HL_STATE_RECORDING)
        header.process_start_ticks = 777
        header.start_monotonic_ns = 5_000_000_000
        header.start_realtime_ns = 1_700_000_000_000_000_000
        withUnsafeMutableBytes(of: &header.boot_id) { $0.copyBytes(from: 0..<16) }
        header.first_interval = interval
        header.interval = interval
        header.flags = UInt32(HL_FLAG_UNWINDER)
        header.last_write_ns = Self.nanoseconds(duration)
        header.period_ns = HL_FIRST_PERIOD_NS
        while header.last_write_ns / header.period_ns > UInt64(HL_HISTORY) { header.period_ns *= 2 }
        site([])
    }

    /// A mapped file; `bias` is its start unless told otherwise, so that offsets count from its first byte.
    public mutating func module(
        _ path: String, buildID: [UInt8] = [], at start: UInt64, size: UInt64, bias: UInt64? = nil,
        generations: Range<UInt64> = 0..<UInt64.max
    ) {
        var module = hl_module()
        module.state = UInt32(HL_READY)
        module.build_id_length = UInt32(buildID.count)
        withUnsafeMutableBytes(of: &module.build_id) { $0.copyBytes(from: buildID) }
        module.start = start
        module.end = start + size
        module.bias = bias ?? start
        module.name_offset = UInt64(names.count)
        module.loaded_at = generations.lowerBound
        module.unloaded_at = generations.upperBound
        names += Array(path.utf8) + [0]
        modules.append(module)
    }

    /// An allocation site with its return addresses, innermost first. `history` are live bytes at the probe's
    /// checkpoints, one each `header.period_ns` unless `period` (in nanoseconds) says otherwise.
    @discardableResult
    public mutating func site(
        _ stack: [UInt64], generation: UInt64 = 0, isCut: Bool = false, history: [Float] = [], period: UInt64? = nil
    ) -> Int {
        var site = hl_site()
        site.state = UInt32(HL_READY)
        site.flags = isCut ? UInt32(HL_SITE_CUT) : 0
        site.frames_index = UInt64(frames.count)
        site.depth = UInt32(stack.count)
        site.generation = generation
        site.history_period_ns = period ?? header.period_ns
        site.history_length = UInt64(history.count)
        withUnsafeMutableBytes(of: &site.history) { bytes in
            history.withUnsafeBytes { bytes.copyMemory(from: $0) }
        }
        frames += stack
        sites.append(site)
        return sites.count - 1
    }

    /// A sampled block that is still allocated. `thinning` is the table's at its birth, by default today's.
    public mutating func live(
        _ site: Int, size: UInt64, at birth: Double, weight: Float = 1, thinning: UInt32? = nil, thread: UInt32 = 1,
        address: UInt64? = nil
    ) {
        var sample = hl_sample()
        sample.size = size
        sample.birth_ns = Self.nanoseconds(birth)
        sample.weight = weight
        sample.thinning = thinning ?? header.thinnings
        sample.site = UInt32(site)
        sample.thread = thread
        samples.append((address ?? nextAddress, sample))
        nextAddress += 4096
        bookAllocation(site, size: size, at: sample.birth_ns, weight: weight)
    }

    /// A sampled block that was freed at the age of `lifetime` seconds.
    public mutating func freed(_ site: Int, size: UInt64, at birth: Double, lifetime: Double, weight: Float = 1) {
        bookAllocation(site, size: size, at: Self.nanoseconds(birth), weight: weight)
        sites[site].free_samples += 1
        sites[site].free_bytes += UInt64(Double(size) * Double(weight))
        sites[site].free_count_x256 += UInt64(Double(weight) * 256)
        let age = Self.nanoseconds(lifetime)
        let bits = UInt64.bitWidth - age.leadingZeroBitCount
        withUnsafeMutableBytes(of: &sites[site].lifetimes) {
            $0.bindMemory(to: UInt32.self)[min(31, max(0, bits - 20))] += 1
        }
        header.samples_freed += 1
    }

    private mutating func bookAllocation(_ site: Int, size: UInt64, at birth: UInt64, weight: Float) {
        let isFirst = sites[site].alloc_samples == 0
        sites[site].first_ns = isFirst ? birth : min(sites[site].first_ns, birth)
        sites[site].last_ns = max(sites[site].last_ns, birth)
        sites[site].alloc_samples += 1
        sites[site].alloc_bytes += UInt64(Double(size) * Double(weight))
        sites[site].alloc_count_x256 += UInt64(Double(weight) * 256)
        header.samples_taken += 1
    }

    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64((seconds * 1e9).rounded()) }
}
