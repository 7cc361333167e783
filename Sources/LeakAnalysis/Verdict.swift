import HeapProfile
import TimeSeries

extension LeakReport {
    /// Puts the two views together: the process as a whole, and its heap.
    init(_ input: LeakInput, baseline: Baseline, heap: HeapFindings) {
        let growth = GrowthReport(baseline: baseline.growth, heap: heap)
        let usage = input.usageBytes.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil } ?? input.memory.last?.value.sound
        let limit = input.limitBytes.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
        let process = ProcessSummary(input)
        // What has ended reaches nothing any more.
        let time =
            process.ending != nil
            ? nil
            : limit.flatMap { limit in
                timeToLimit(limit, usage: usage, growth: growth, memory: input.memory)
            }
        let rising = RisingCollection.rising(input.counts)
        let verdict = Verdict(growth: growth, heap: heap, timeToLimit: time)
            .naming(rising.first, heap.holderGrowth.first, growth: growth)
        self.init(
            verdict: verdict, growth: growth, timeToLimitSeconds: time,
            usageBytes: usage, limitBytes: limit, suspects: heap.suspects, healthy: heap.healthy,
            process: process, sampling: heap.sampling, heap: input.heap,
            lostSites: heap.lostSites,
            holderGrowth: heap.holderGrowth,
            collectionGrowth: CollectionGrowth.growing(input.heap, since: input.earlier),
            risingCollections: rising,
            warnings: losses(input.profile) + (input.heap?.doubts ?? []))
    }
}

extension GrowthReport {
    /// From the memory history where it is long enough to show a line, or shows that there is none; else from the
    /// suspects; else from all live bytes.
    init(baseline: Growth?, heap: HeapFindings) {
        let leak = heap.leakRate
        if let baseline, baseline.pattern == .linear || leak.value == 0 {
            self.init(baseline, source: .memory)
        } else if leak.value > 0 {
            self.init(
                bytesPerSecond: leak.value, low: leak.low, high: leak.high, pattern: .linear, source: .heap)
        } else if let history = heap.history {
            self.init(history, source: .heap)
        } else {
            self.init()
        }
    }

    private init(_ growth: Growth, source: Source) {
        self.init(
            bytesPerSecond: growth.perSecond, low: growth.low, high: growth.high, pattern: growth.pattern,
            source: source, onset: growth.onset)
    }

    /// Below 1 KiB/s, 84 MiB a day, nobody calls it growth.
    var isMaterial: Bool { pattern == .linear && low >= 1024 }
}

private func timeToLimit(_ limit: Double, usage: Double?, growth: GrowthReport, memory: [Point]) -> Double? {
    // The history may be of less than what is charged against the limit: anonymous memory, say. The rest stays.
    let rest = usage.flatMap { usage in memory.last.map { usage - $0.value } } ?? 0
    if growth.source == .memory, let seconds = TimeSeries.timeToLimit(memory, limit: limit - rest) { return seconds }
    guard let usage, growth.pattern == .linear, growth.low > 0, growth.bytesPerSecond >= 1 else { return nil }
    return max(0, limit - usage) / growth.bytesPerSecond
}

// MARK: - The verdict

extension Verdict {
    /// Live samples below which a profile says nothing, and seconds.
    private static let fewestSamples = 20
    private static let shortestDuration = 10.0

    init(growth: GrowthReport, heap: HeapFindings, timeToLimit: Double?) {
        let limit = timeToLimit.map { "; the limit is reached in \(Figures.duration($0))" } ?? ""
        let leaks = heap.suspects.filter { $0.confidenceLabel >= .medium }
        let end = Self.end(of: heap) + "."
        if let first = leaks.first {
            self.init(
                class: .leak, summary: Self.leak(first, others: leaks.dropFirst()) + limit + Self.doubt(heap) + end)
        } else if growth.isMaterial {
            self.init(class: .growth, summary: Self.growth(growth, heap) + limit + end)
        } else if Self.hasFreedAll(heap), [.saturating, .step].contains(growth.pattern) {
            self.init(class: .unknown, summary: Self.emptied + end)
        } else if Self.isTooLittle(growth, heap) {
            self.init(class: .unknown, summary: Self.unknown(heap) + end)
        } else {
            self.init(class: .stable, summary: Self.stable(growth, heap) + end)
        }
    }

    /// With who holds ever more, as far as it is much of the growth: a site may look healthy whose blocks are replaced by
    /// larger ones all the time.
    fileprivate func naming(_ rising: RisingCollection?, _ holder: HolderGrowth?, growth: GrowthReport) -> Verdict {
        let grown =
            rising.map { (name: $0.title, rate: $0.bytesPerSecond, how: "has a collection that only grows") }
            ?? holder.map { (name: $0.root.title, rate: $0.bytesPerSecond, how: "holds ever more") }
        guard let grown, grown.rate >= max(1024, growth.low / 10) else { return self }
        var verdict = self
        let what = "\(grown.name) \(grown.how), by \(Figures.rate(grown.rate))."
        // That is enough to judge.
        verdict.summary = verdict.class == .unknown ? what : "\(summary) \(what)"
        if verdict.class == .unknown || (verdict.class == .stable && rising != nil) { verdict.class = .growth }
        return verdict
    }

    /// Where recording ended before the program did.
    private static func end(of heap: HeapFindings) -> String {
        guard let probe = heap.sampling?.probe, probe.isPaused || probe.isDetached else { return "" }
        let what = probe.isDetached ? "detached" : "paused"
        return " — judged by the \(Figures.duration(heap.duration)) before the probe was \(what)"
    }

    private static func leak(_ suspect: Suspect, others: ArraySlice<Suspect>) -> String {
        let name = StackFrame.shortened(suspect.function)
        let rest = others.isEmpty ? "" : ", and \(Figures.count(Double(others.count), "other function")) with it"
        return "\(name) leaks \(speed(suspect.bytesPerSecond)), "
            + "\(suspect.confidenceLabel.rawValue) confidence\(rest)"
    }

    /// What a short observation cannot tell.
    private static func doubt(_ heap: HeapFindings) -> String {
        guard heap.duration < Confidence.shortestCertain, heap.sampling != nil else { return "" }
        return " — after \(Figures.duration(heap.duration)); \(Confidence.doubtBefore)"
    }

    private static func growth(_ growth: GrowthReport, _ heap: HeapFindings) -> String {
        let start = "Memory grows by \(speed(growth.bytesPerSecond))"
        if let first = heap.suspects.first {
            return start + ", cause not certain: perhaps \(StackFrame.shortened(first.function))"
        }
        guard heap.sampling != nil else { return start + "; a heap profile would tell where" }
        guard !heap.hasExited else {
            return start + ", and what it had not freed when it ended does not explain it: "
                + "a snapshot taken while it runs tells more"
        }
        guard growth.source == .memory else {
            return start + " of live heap, and no allocation site does so for certain"
        }
        return start + ", and no allocation site explains it: "
            + "look at thread stacks, mappings, shared memory, page tables and fragmentation"
    }

    private static func stable(_ growth: GrowthReport, _ heap: HeapFindings) -> String {
        let kind =
            switch growth.pattern {
            case .saturating: "Memory is settling after a rise"
            case .step: "Memory made a step and stays there"
            case .shrinking: "Memory shrinks"
            default: "Memory is stable"
            }
        if hasFreedAll(heap) { return "\(kind). \(emptied)" }
        return heap.sampling == nil ? kind : kind + ", and no allocation site grows with confidence"
    }

    private static func unknown(_ heap: HeapFindings) -> String {
        guard let sampling = heap.sampling else {
            return "Too little to judge: no heap profile, and the memory history is too short"
        }
        let fastest = heap.suspects.first.map {
            "; \(StackFrame.shortened($0.function)) grows fastest so far, by \(Figures.rate($0.bytesPerSecond))"
        }
        return "Too little to judge: \(Figures.count(Double(sampling.liveSamples), "live sample"))"
            + " in \(Figures.duration(heap.duration))"
            + (isTooCoarse(sampling) ? ", and one sample in \(Figures.bytes(Double(sampling.interval))) now" : "")
            + (fastest ?? "")
    }

    private static let emptied =
        "What the program held it had freed when it ended, which says nothing of its sites: "
        + "judge a snapshot taken while it runs"

    private static func hasFreedAll(_ heap: HeapFindings) -> Bool {
        heap.hasExited && (heap.sampling?.liveSamples ?? fewestSamples) < fewestSamples
    }

    private static func isTooLittle(_ growth: GrowthReport, _ heap: HeapFindings) -> Bool {
        guard growth.source != .memory else { return false }
        guard let sampling = heap.sampling, heap.duration >= shortestDuration else { return true }
        return !sampling.isExact && (sampling.liveSamples < fewestSamples || isTooCoarse(sampling))
    }

    /// All that lives would hardly have made a sample.
    private static func isTooCoarse(_ sampling: SamplingSummary) -> Bool {
        sampling.liveBytes < 3 * Double(sampling.interval)
    }

    private static func speed(_ rate: Double) -> String {
        "\(Figures.rate(rate)) (\(Figures.bytes(rate * secondsPerDay)) a day)"
    }
}

extension StackFrame {
    /// A name without its arguments and templates, for a sentence.
    package static func shortened(_ function: String) -> String {
        let name = FunctionName(function).qualified
        return name.isEmpty ? function : name
    }
}

// MARK: - The rest of the report

extension ProcessSummary {
    init(_ input: LeakInput) {
        let identity = input.profile?.process
        let times = input.memory.map(\.time).filter(\.isFinite)
        let span = (times.max() ?? 0) - (times.min() ?? 0)
        self.init(
            name: input.processName, pid: identity?.pid,
            startTime: identity.flatMap { $0.startTime.isFinite && $0.startTime > 0 ? $0.startTime : nil },
            observedSeconds: input.profile?.duration.sound ?? span.sound,
            ending: identity?.exited == true ? .exited : input.ending)
    }
}

/// What was cut, dropped or damaged, in plain words.
private func losses(_ profile: HeapProfile?) -> [String] {
    guard let profile else { return [] }
    let sampling = profile.sampling
    let losses: [(text: String, count: UInt64)] = [
        ("samples that found no room or no ledger yet, in no estimate", sampling.samplesDropped),
        ("samples whose stack was lost for lack of space", sampling.stacksLost),
        ("stacks that were cut, their outermost frames missing", sampling.stacksCut),
        ("stacks that could not be unwound beyond the caller", sampling.stacksFailed),
        ("modules that were not recorded, addresses in them unnamed", sampling.modulesDropped),
        ("checkpoints of live bytes left out", sampling.historySkipped),
    ]
    var lines = profile.warnings
    lines += losses.filter { $0.count > 0 }.map { "\($0.text): \(Figures.count(Double($0.count)))" }
    if sampling.paced > 0 {
        let widest = Figures.bytes(Double(sampling.widestInterval))
        let slow = sampling.stalled > 0 ? ", since samples had become slow" : " to keep its budget"
        lines.append(
            "the probe sampled more coarsely at times, up to one in \(widest)\(slow); estimates stay unbiased")
    }
    if sampling.samplesPaused > 0 || sampling.isPaused {
        let count = Figures.count(Double(sampling.samplesPaused), "sample")
        lines.append(
            "\(count) left out while the probe was paused\(sampling.isPaused ? ", which it still is" : ""); "
                + "that time is in no figure")
    }
    if sampling.thinnings > 0 {
        let times = Figures.count(Double(sampling.thinnings), "time")
        lines.append("the sample table was thinned \(times); estimates stay unbiased")
    }
    if sampling.isAttached { lines.append("recorded since the probe was attached: memory from before is in no figure") }
    if !sampling.hasUnwinder {
        lines.append("the probe found no libunwind, or one that the program uses itself: stacks are the caller alone")
    }
    return lines
}
