/// `2026-01-31T23:59:59Z` for seconds since 1970; nil beyond the years 1 to 9999.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": days to a date by eras of 400 years.
func iso8601(_ seconds: Double) -> String? {
    guard seconds > -62_135_596_800, seconds < 253_402_300_800 else { return nil }
    let whole = Int64(seconds.rounded(.down))
    let days = (whole - modulo(whole, 86_400)) / 86_400
    let time = modulo(whole, 86_400)
    let shifted = days + 719_468  // days since 0000-03-01
    let era = (shifted - modulo(shifted, 146_097)) / 146_097
    let dayOfEra = modulo(shifted, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153  // 0 is March
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
    let date = [padded(year, 4), padded(month < 10 ? month + 3 : month - 9, 2), padded(day, 2)].joined(separator: "-")
    let clock = [time / 3600, time / 60 % 60, time % 60].map { padded($0, 2) }.joined(separator: ":")
    return "\(date)T\(clock)Z"
}

/// The same for people: `2026-01-31 23:59:59 UTC`.
func utc(_ seconds: Double) -> String {
    guard let date = iso8601(seconds) else { return "an unknown time" }
    return "\(date.prefix(10)) \(date.dropFirst(11).prefix(8)) UTC"
}

private func modulo(_ a: Int64, _ b: Int64) -> Int64 { (a % b + b) % b }

private func padded(_ number: Int64, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
