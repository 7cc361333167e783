import Testing

@testable import LeakAnalysis

@Suite struct FiguresTests {
    @Test(arguments: [
        (0.0, "0 B"), (999, "999 B"), (1024, "1 KiB"), (2_150_000, "2.05 MiB"), (64 * 1024, "64 KiB"),
        (1e12, "931 GiB"),
        (1_048_576 * 20.46, "20.5 MiB"), (-2048, "−2 KiB"), (.infinity, "∞ PiB"),
    ])
    func bytes(_ value: Double, _ text: String) { #expect(Figures.bytes(value) == text) }

    @Test(arguments: [
        (0.0, "0 s"), (0.033, "33 ms"), (7.54, "7.5 s"), (15, "15 s"), (59.4, "59 s"), (59.7, "1 min"), (60, "1 min"),
        (200, "3 min 20 s"), (3599.9, "1 h"), (22_320, "6 h 12 min"), (273_600, "3 d 4 h"), (1e300, "∞ d"), (-5, "0 s"),
        (.nan, "?"),
    ])
    func duration(_ seconds: Double, _ text: String) { #expect(Figures.duration(seconds) == text) }

    @Test(arguments: [
        (0.0, "0%"), (1, "100%"), (0.004, "0.4%"), (0.0001, "under 0.1%"), (0.98, "98%"), (0.9999, "over 99%"),
    ])
    func percent(_ share: Double, _ text: String) { #expect(Figures.percent(share) == text) }

    @Test func counts() {
        #expect(Figures.count(15_234) == "15,234")
        #expect(Figures.count(1, "block") == "1 block")
        #expect(Figures.count(999, "block") == "999 blocks")
        #expect(Figures.decimal(2.05, places: 2) == "2.05")
        #expect(Figures.decimal(2.5, places: 2) == "2.50")
        #expect(Figures.decimal(2, places: 2) == "2")
    }
}
