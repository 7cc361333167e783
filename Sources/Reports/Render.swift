public import LeakAnalysis

/// How a report is written down.
public enum ReportFormat: String, Sendable, CaseIterable {
    /// For people at a terminal: the verdict first, then why.
    case text
    /// For programs: the keys are a contract, see `JSONReport.swift`.
    case json
}

/// Writes the report down. Ends in a newline.
///
/// Names in a report come from the files of a process that nobody vouches for: whatever could drive a terminal is
/// escaped, in every format.
///
/// - Parameters:
///   - width: columns of the terminal; lines are wrapped or cut with `…`. At least 40. Text only.
///   - color: use ANSI colours. Text only.
public func render(
    _ report: LeakReport, as format: ReportFormat, width: Int = 100, color: Bool = false
) -> String {
    switch format {
    case .text: TextReport(report.escaped(), page: Page(width: width, color: color)).text()
    case .json: report.json.text + "\n"
    }
}
