/// Numbers as people read them: three significant digits and a unit. Never traps, whatever the number.
package enum Figures {
    /// `2.05 MiB`
    package static func bytes(_ value: Double) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var rest = abs(value)
        var unit = 0
        while rest >= 999.5, unit < units.count - 1 {
            rest /= 1024
            unit += 1
        }
        let sign = value < 0 ? "−" : ""
        return "\(sign)\(unit == 0 ? decimal(rest, places: 0) : significant(rest)) \(units[unit])"
    }

    /// `2.05 MiB/s`
    package static func rate(_ value: Double) -> String { bytes(value) + "/s" }

    /// `1.9–2.2 MiB/s`, in words where the interval reaches 0.
    package static func interval(_ low: Double, _ high: Double) -> String { "\(rate(low)) to \(rate(high))" }

    /// `0.42 µs`, `33 ms`, `15 s`, `3 min 20 s`, `6 h 12 min`, `3 d 4 h`
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "?" }
        let seconds = max(0, seconds)
        if seconds == 0 { return "0 s" }
        if seconds < 0.000_9995 { return "\(significant(seconds * 1e6)) µs" }
        if seconds < 0.9995 { return "\(significant(seconds * 1000)) ms" }
        if seconds < 59.5 { return "\(seconds < 9.95 ? decimal(seconds, places: 1) : decimal(seconds, places: 0)) s" }
        let steps: [(size: Double, name: String, part: Double, partName: String)] = [
            (60, "min", 1, "s"), (3600, "h", 60, "min"), (secondsPerDay, "d", 3600, "h"),
        ]
        let step = steps.last { seconds >= $0.size * 0.9999 } ?? steps[0]
        let parts = (seconds / step.part).rounded()
        let each = step.size / step.part
        let rest = parts - (parts / each).rounded(.down) * each
        let whole = "\(decimal((parts / each).rounded(.down), places: 0)) \(step.name)"
        return rest > 0 ? "\(whole) \(decimal(rest, places: 0)) \(step.partName)" : whole
    }

    /// `15,234`
    package static func count(_ value: Double) -> String {
        let digits = decimal(value, places: 0)
        guard digits.allSatisfy(\.isNumber) else { return digits }
        var text = ""
        for (i, digit) in digits.enumerated() {
            if i > 0, (digits.count - i) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// `1 block`, `15,234 blocks`
    package static func count(_ value: Double, _ noun: String) -> String {
        let number = count(value)
        return "\(number) \(noun)\(number == "1" ? "" : "s")"
    }

    /// `98%`, `0.4%`, `under 0.1%`
    package static func percent(_ share: Double) -> String {
        let percent = share * 100
        if percent > 0, percent < 0.1 { return "under 0.1%" }
        if percent > 99, percent < 100 { return "over 99%" }
        return "\(decimal(percent, places: percent > 0 && percent < 9.95 ? 1 : 0))%"
    }

    /// Fixed number of decimals; none where all would be 0.
    package static func decimal(_ value: Double, places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return value.isNaN ? "?" : value < 0 ? "−∞" : "∞" }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        let part = scaled % Int64(scale)
        let sign = value < 0 && scaled > 0 ? "−" : ""
        guard part > 0 else { return "\(sign)\(whole)" }
        let digits = String(part)
        return "\(sign)\(whole).\(String(repeating: "0", count: places - digits.count))\(digits)"
    }

    /// Three digits: `2.05`, `20.5`, `205`.
    private static func significant(_ value: Double) -> String {
        decimal(value, places: value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
    }
}

extension Double {
    /// 0 for whatever is no number or negative: damaged input must not spoil a sum.
    var sound: Double { self >= 0 && self < 1e18 ? self : 0 }

    func clamped(to range: ClosedRange<Double>) -> Double {
        self >= range.lowerBound ? Swift.min(self, range.upperBound) : range.lowerBound
    }
}
