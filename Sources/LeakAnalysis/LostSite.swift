import HeapProfile

/// A function that allocated blocks to which no pointer leads any more.
public struct LostSite: Sendable, Codable, Equatable {
    /// As of a suspect.
    public var function: String
    public var module: String
    /// Of the lost blocks; an estimate from samples.
    public var bytes: Double

    package init(function: String, module: String, bytes: Double) {
        self.function = function
        self.module = module
        self.bytes = bytes
    }
}

extension LostSite {
    private static let longest = 20

    /// Those that lost most come first.
    static func sites(of groups: [SiteGroup], in heap: HeapSurvey?) -> [LostSite] {
        var lost: [Int: Double] = [:]
        for holding in heap?.holdings ?? [] where holding.holder == .nothing {
            lost[holding.site, default: 0] += holding.bytes.sound
        }
        let sites = groups.map { group in
            LostSite(
                function: group.function, module: group.module, bytes: group.numbers.reduce(0) { $0 + (lost[$1] ?? 0) })
        }
        return Array(
            sites.filter { $0.bytes > 0 }.sorted { ($0.bytes, $1.function) > ($1.bytes, $0.function) }.prefix(longest))
    }
}
