import HeapProfile
import LeakAnalysis
import Testing

@testable import Reports

@Suite struct RenderTests {
    @Test(arguments: [
        ("leak", SampleReports.leak), ("stable", SampleReports.stable), ("growth", SampleReports.growth),
        ("unknown", SampleReports.unknown), ("held", SampleReports.held),
    ])
    func golden(_ name: String, _ report: LeakReport) {
        expectGolden(render(report, as: .text), "\(name).txt")
        expectGolden(render(report, as: .json), "\(name).json")
    }

    @Test func narrowAndColoured() {
        expectGolden(render(SampleReports.leak, as: .text, width: 60), "leak-60.txt")
        expectGolden(render(SampleReports.leak, as: .text, color: true), "leak-color.txt")
    }

    @Test(arguments: [-5, 0, 40, 72, 100, 200]) func linesFit(_ width: Int) {
        for report in [SampleReports.leak, SampleReports.held] {
            for line in render(report, as: .text, width: width).split(separator: "\n") {
                #expect(line.count <= max(40, width))
            }
        }
    }

    @Test func firstLineIsTheVerdict() {
        #expect(render(SampleReports.leak, as: .text, width: 200).hasPrefix("LEAK  UserActivityTracker::record leaks"))
    }

    /// Symbols, paths and process names come from whoever wrote the watched program.
    @Test func hostileNamesCannotDriveTheTerminal() {
        let evil = "f\u{1B}[2J\u{1B}]0;owned\u{07}\r\n\u{9B}31m\u{202E}gnp.\u{0}\u{E0041}x"
        var report = SampleReports.leak
        report.verdict.summary = evil
        report.process.name = evil
        report.warnings = [evil]
        for index in report.suspects.indices {
            report.suspects[index].function = evil
            report.suspects[index].module = evil
            report.suspects[index].evidence.append(Evidence(kind: .growth, text: evil, weight: 0))
            report.suspects[index].stack.append(StackFrame(function: evil, module: evil))
            report.suspects[index].stack.append(StackFrame(function: evil, module: evil, file: evil, line: 1))
        }
        for index in report.healthy.indices { report.healthy[index].function = evil }
        report.heap = SampleReports.held.heap
        report.heap?.roots[0].name = evil
        report.heap?.roots[0].type = evil
        report.heap?.roots[1].module = evil
        report.heap?.roots[1].container?.kind = evil
        report.heap?.types[0].name = evil
        report.heap?.leaks[0].type = evil
        for format in ReportFormat.allCases {
            let scalars = render(report, as: format).unicodeScalars
            #expect(scalars.allSatisfy { $0 == "\n" || !$0.isDangerous })
        }
        #expect(render(report, as: .text).contains("\\u{1b}[2J"))
        #expect(render(report, as: .json).contains("\\u001b[2J"))
        #expect(render(report, as: .json).contains("\\udb40\\udc41"))
    }

    @Test func numbersThatJSONDoesNotKnow() {
        var report = SampleReports.leak
        report.growth.bytesPerSecond = .nan
        report.suspects[0].liveBytes = .infinity
        report.suspects[0].ages.births = [.nan, -1, .infinity, 2]
        report.process.startTime = 1e300
        let json = render(report, as: .json)
        #expect(!json.contains("nan"))
        #expect(!json.contains("inf,"))
        #expect(json.contains("\"bytesPerSecond\": null"))
        #expect(!render(report, as: .text).isEmpty)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_767_225_599.5, "2025-12-31T23:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
    ])
    func dates(_ seconds: Double, _ text: String) { #expect(iso8601(seconds) == text) }

    @Test(arguments: [Double.nan, .infinity, 1e300, -1e300]) func datesBeyondAllYears(_ seconds: Double) {
        #expect(iso8601(seconds) == nil)
    }
}
