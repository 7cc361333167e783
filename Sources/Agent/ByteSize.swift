/// A number of bytes as people write it.
///
/// `k`, `M`, `G`, `T` and `KiB`, `MiB`, `GiB`, `TiB` (also `Ki` …) count in 1024, as cgroups do; `kB`, `MB`, `GB`, `TB`
/// in 1000. Upper and lower case are one. A fraction may stand before a unit: `1.5GiB`.
public struct ByteSize: Sendable, Equatable, Codable {
    public var bytes: UInt64

    public init(bytes: UInt64) { self.bytes = bytes }

    /// Nil where `text` is no size, is zero, or is beyond 2^62 bytes.
    public init?(_ text: String) {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(number), let unit = Self.units[text.dropFirst(number.count).lowercased()] else {
            return nil
        }
        let bytes = (value * unit).rounded()
        guard bytes >= 1, bytes <= 0x1p62, unit > 1 || value == bytes else { return nil }
        self.bytes = UInt64(bytes)
    }

    private static let units: [String: Double] = {
        var units = ["": 1.0, "b": 1]
        for (index, letter) in ["k", "m", "g", "t"].enumerated() {
            let binary = Double(UInt64(1) << UInt64(10 * (index + 1)))
            units[letter] = binary
            units[letter + "i"] = binary
            units[letter + "ib"] = binary
            units[letter + "b"] = [1e3, 1e6, 1e9, 1e12][index]
        }
        return units
    }()
}

extension ByteSize: CustomStringConvertible {
    /// In the largest binary unit that leaves at least 1, with one decimal below 100: `1.5 GiB`, `256 MiB`.
    public var description: String { Self.text(Double(bytes)) }

    static func text(_ bytes: Double) -> String {
        var value = abs(bytes)
        var unit = "B"
        for larger in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
            value /= 1024
            unit = larger
        }
        let tenths = (value * 10).rounded() / 10
        let isWhole = value >= 100 || tenths == tenths.rounded()
        let number = isWhole ? String(Int64(value.rounded())) : String(tenths)
        return "\(bytes < 0 ? "−" : "")\(number) \(unit)"
    }
}
