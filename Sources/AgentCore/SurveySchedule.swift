/// When to look for collections to count: soon after the start, since counting tells more the longer it goes on, and then
/// ever less often, since the process stands still for a moment and somebody has to read its heap.
struct SurveySchedule: Sendable {
    private var start: Double?
    private var began: Double?
    private var next = 0.0
    private static let firstAfter = 10.0
    private static let longestPause = 600.0

    mutating func isDue(_ now: Double) -> Bool {
        if start == nil { (start, next) = (now, now + Self.firstAfter) }
        return began == nil && now >= next
    }

    mutating func begin(_ now: Double) { began = now }

    /// At 10 s, a minute, six, and then every ten; reading the heap takes no more than 1% of the time.
    mutating func finish(_ now: Double) {
        let took = now - (began ?? now)
        let age = now - (start ?? now)
        next = now + max(min(Self.longestPause, 5 * age), 99 * took)
        began = nil
    }
}
