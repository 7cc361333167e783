import CHeapLedger

/// Live bytes of a site at even steps of time, in the probe's form: [i] at (i + 1) × `period` nanoseconds.
///
/// Sites are written at different moments and folded lazily, so that periods and lengths differ. `aligned` brings all
/// of a profile onto one grid, on which histories can be compared and added.
struct SiteHistory {
    private var period: UInt64
    private var values: [Float]

    /// nil where the record is damaged, or was killed in the middle of a fold. No period exceeds `largest`, the header's.
    init?(_ site: hl_site, largest: UInt64) {
        guard site.history_lock == 0, site.history_length <= UInt64(HL_HISTORY),
            Self.isPeriod(site.history_period_ns), site.history_period_ns <= largest
        else { return nil }
        period = site.history_period_ns
        values = withUnsafeBytes(of: site.history) { bytes in
            Array(bytes.bindMemory(to: Float.self).prefix(Int(site.history_length)))
        }
        guard values.allSatisfy({ $0 <= Float(plausibleBytes) }) else { return nil }  // neither infinite nor NaN
        values = values.map { max(0, $0) }
    }

    /// The history on the grid of `period`, as long as `length`.
    ///
    /// The probe writes the checkpoints that have passed when a site's next event comes, so those that are missing saw
    /// no event since: there the site stood at `current`, its live bytes now.
    func aligned(to period: UInt64, length: Int, current: Double) -> [Float] {
        var folded = self
        while folded.period < period {
            folded.values = stride(from: 1, to: folded.values.count, by: 2).map { folded.values[$0] }
            folded.period *= 2
        }
        let missing = max(0, length - folded.values.count)
        return Array(folded.values.prefix(length)) + Array(repeating: Float(current), count: missing)
    }

    /// The grid of a whole profile: the header's period, doubled until `duration` takes at most `HL_HISTORY` steps.
    static func grid(_ header: hl_header, duration: UInt64) -> (period: UInt64, length: Int) {
        var period = isPeriod(header.period_ns) ? header.period_ns : HL_FIRST_PERIOD_NS
        while duration / period > UInt64(HL_HISTORY) { period *= 2 }
        return (period, Int(duration / period))
    }

    /// HL_FIRST_PERIOD_NS × 2^n, and at most 146 years, so that it can be doubled.
    private static func isPeriod(_ period: UInt64) -> Bool {
        let (quotient, remainder) = period.quotientAndRemainder(dividingBy: HL_FIRST_PERIOD_NS)
        return remainder == 0 && quotient.nonzeroBitCount == 1 && period <= 1 << 62
    }
}
