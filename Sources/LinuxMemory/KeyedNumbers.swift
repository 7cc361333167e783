/// Lines of a key and a number, which is how the kernel writes most of what it tells about memory: `anon 4096`,
/// `VmRSS:    1772 kB`, `oom_kill 3`. Sizes in kB become bytes; lines without a number are passed over.
struct KeyedNumbers {
    private(set) var values: [String: UInt64] = [:]

    init(_ text: [UInt8]) {
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard let end = line.firstIndex(where: { $0 == UInt8(ascii: ":") || isBlank($0) }) else { continue }
            var rest = line[end...].drop { $0 == UInt8(ascii: ":") || isBlank($0) }
            guard let number = parseNumber(&rest) else { continue }
            let isKilo = rest.drop(while: isBlank).starts(with: "kB".utf8)
            values[String(decoding: line[..<end], as: UTF8.self)] = isKilo ? number.multiplied(by: 1024) : number
        }
    }

    subscript(key: String) -> UInt64? { values[key] }
}

func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

/// Takes the decimal number at the start of `text`; nil where there is none or it does not fit.
func parseNumber(_ text: inout ArraySlice<UInt8>) -> UInt64? {
    let digits = text.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    text = text[digits.endIndex...]
    return UInt64(String(decoding: digits, as: UTF8.self))
}

extension UInt64 {
    /// The product, or the largest number where it does not fit.
    func multiplied(by factor: UInt64) -> UInt64 {
        let (product, isTooLarge) = multipliedReportingOverflow(by: factor)
        return isTooLarge ? .max : product
    }

    /// The sum, or the largest number where it does not fit.
    func added(_ other: UInt64) -> UInt64 {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
    }

    /// The difference, or 0: counters that were not read at one instant may contradict each other.
    func less(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
