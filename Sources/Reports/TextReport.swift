import HeapProfile
import LeakAnalysis

/// The report for people: whoever reads nothing but the first line knows what to do.
struct TextReport {
    let report: LeakReport
    var page: Page
    static let column = 10

    init(_ report: LeakReport, page: Page) {
        self.report = report
        self.page = page
    }

    func text() -> String {
        var copy = self
        copy.write()
        return copy.page.text
    }

    private mutating func write() {
        writeVerdict()
        writeProcess()
        writeSuspects()
        if let heap = report.heap { write(heap) }
        writeHolderGrowth()
        writeRisingCollections()
        writeHealthy()
        writeSampling()
        writeWarnings()
    }

    private mutating func writeVerdict() {
        let kind = report.verdict.class
        let style: Page.Style =
            switch kind {
            case .leak: .bad
            case .growth, .unknown: .doubtful
            case .stable: .good
            }
        let label = kind.rawValue.uppercased()
        page.paragraph(label, report.verdict.summary, column: label.count + 2, style: style)
    }

    private mutating func writeProcess() {
        let process = report.process
        page.blank()
        let name = process.name ?? (process.pid == nil ? nil : "unknown name")
        let pid = process.pid.map { "pid \($0)" }
        let start = process.startTime.map { "since \(utc($0))" }
        let observed = "observed for \(Figures.duration(process.observedSeconds))"
        let end: String? =
            switch process.ending {
            case nil: nil
            case .exited?: "ended by itself"
            case .killed?: "killed"
            case .outOfMemory?: "killed for lack of memory"
            case .unfinished?: "ended without closing its ledger (by a kill, _exit or exec)"
            }
        field("Process", [name, pid, observed, start, end])

        let growth = report.growth
        switch growth.source {
        case .none: field("Growth", ["not known"])
        case .memory, .heap:
            let source = growth.source == .memory ? "by its memory history" : "by the heap's live bytes"
            let aDay = growth.isLinear ? "\(Figures.bytes(growth.bytesPerDay)) a day" : nil
            field(
                "Growth",
                [
                    "\(Figures.rate(growth.bytesPerSecond)) (\(Figures.interval(growth.low, growth.high)))",
                    aDay, growth.patternName, source,
                ].compactMap(\.self))
        }
        writeLimit()
    }

    private mutating func writeLimit() {
        guard let limit = report.limitBytes else { return }
        let share = report.usageBytes.map {
            " of which \(Figures.bytes($0)) (\(Figures.percent($0 / limit))) \(report.process.ending == nil ? "are" : "were") used"
        }
        let time = report.timeToLimitSeconds.map {
            $0 > 0 ? "reached in \(Figures.duration($0))" : "reached now"
        }
        let outlook = report.process.ending == nil ? time ?? "when it is reached is not known" : nil
        field("Limit", [Figures.bytes(limit) + (share.map { "," + $0 } ?? ""), outlook])
    }

    // MARK: - Suspects

    private mutating func writeSuspects() {
        page.heading("Suspects")
        if report.suspects.isEmpty { page.split("none", "", indent: 2) }
        for (index, suspect) in report.suspects.enumerated() {
            if index > 0 { page.blank() }
            write(suspect)
        }
    }

    private mutating func write(_ suspect: Suspect) {
        let style: Page.Style = suspect.confidenceLabel == .low ? .plain : .bold
        // Rounded down, or it could seem to have the next label.
        let shown = (suspect.confidence * 100 + 1e-9).rounded(.down) / 100
        let confidence = "\(suspect.confidenceLabel.rawValue) confidence \(Figures.decimal(shown, places: 2))"
        page.split("\(suspect.rank)  \(suspect.function)", confidence, indent: 0, style: style)
        let stacks = suspect.sites == 1 ? nil : "from \(suspect.sites) stacks"
        detail(
            "holds",
            [
                "\(Figures.bytes(suspect.liveBytes)) in \(Figures.count(suspect.liveCount, "block"))"
                    + " of \(Figures.bytes(suspect.averageSize)) on average", stacks,
            ])
        detail(
            "grows",
            [
                "\(Figures.rate(suspect.bytesPerSecond)) (\(Figures.interval(suspect.low, suspect.high)))",
                "\(Figures.bytes(suspect.bytesPerDay)) a day", "\(Figures.percent(suspect.growthShare)) of all growth",
            ])
        detail("freed", ["\(Figures.percent(suspect.freedShare)) of what it allocated"])
        writeHolders(suspect.holders)
        writeAges(suspect.ages)
        for (index, evidence) in suspect.evidence.enumerated() {
            let sign = evidence.weight > 0 ? "+" : evidence.weight < 0 ? "−" : "·"
            detail(index == 0 ? "because" : "", ["\(sign) \(evidence.text)"])
        }
        for (index, frame) in suspect.stack.enumerated() { write(frame, isFirst: index == 0) }
    }

    /// Who has a tenth of it or more.
    private mutating func writeHolders(_ holders: [Holder]) {
        for (index, holder) in holders.prefix(4).enumerated() where index == 0 || holder.share >= 0.1 {
            detail(
                index == 0 ? "held by" : "",
                ["\(holder.name): \(Figures.percent(holder.share))", holder.root?.container?.text])
            let way = named(holder.way)
            if index == 0, !way.isEmpty { detail("by way of", [Page.way(way)]) }
        }
    }

    private mutating func writeAges(_ ages: Ages) {
        guard !ages.births.isEmpty else { return }
        let range = [ages.youngest, ages.median, ages.oldest].map(Figures.duration)
        detail("ages", ["youngest \(range[0])", "median \(range[1])", "oldest \(range[2])"])
        detail("births", ["start ▕\(sparkline(ages.births))▏ now"])
    }

    private mutating func write(_ frame: StackFrame, isFirst: Bool) {
        let label = isFirst ? "stack" : ""
        let place =
            frame.file.map { file in
                let name = file.split(separator: "/").last.map(String.init) ?? file
                return frame.line.map { "\(name):\($0)" } ?? name
            } ?? frame.module
        let padding = String(repeating: " ", count: Self.column - label.count)
        page.split(label + padding + frame.function, place, indent: 3)
    }

    // MARK: - What is in order, and what the report rests on

    private mutating func writeHealthy() {
        guard !report.healthy.isEmpty else { return }
        page.heading("In order")
        for site in report.healthy {
            page.split(site.function, "", indent: 2)
            page.paragraph(
                Figures.bytes(site.liveBytes), site.reason, indent: 4, column: Self.column + 1, style: .plain)
        }
    }

    private mutating func writeSampling() {
        guard let sampling = report.sampling else { return }
        page.heading("Sampling")
        let interval = sampling.isExact ? "every allocation" : "one sample every \(Figures.bytes(sampling.interval))"
        page.paragraph(
            "",
            [
                interval, Figures.count(Double(sampling.liveSamples), "live sample"),
                Figures.count(Double(sampling.sites), "stack"),
                "\(Figures.bytes(sampling.liveBytes)) live of \(Figures.bytes(sampling.allocatedBytes)) allocated",
                "\(Figures.percent(sampling.probeTimeShare)) of the time spent in the probe",
                sampling.probe.cost,
            ].compactMap(\.self).joined(separator: ", "), indent: 1, column: 1)
    }

    private mutating func writeWarnings() {
        guard !report.warnings.isEmpty else { return }
        page.heading("Left out")
        for warning in report.warnings { page.paragraph("·", warning, indent: 2, column: 2) }
    }

    private mutating func field(_ label: String, _ parts: [String?]) {
        page.paragraph(label, parts.compactMap(\.self).joined(separator: ", "), column: Self.column)
    }

    private mutating func detail(_ label: String, _ parts: [String?]) {
        page.paragraph(label, parts.compactMap(\.self).joined(separator: ", "), indent: 3, column: Self.column)
    }
}

extension ProbeAccount {
    /// What one sample costs, nil where none was taken.
    fileprivate var cost: String? {
        guard meanSeconds > 0 else { return nil }
        let mean = "\(Figures.duration(meanSeconds)) a sample"
        return p99Seconds > 0 ? mean + " (99% under \(Figures.duration(p99Seconds)))" : mean
    }
}
