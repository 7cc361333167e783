/// Rust's mangling before v0: a C++ nested name whose last part is "h" and 16 hexadecimal digits, with characters that
/// C++ lacks written as `$LT$`, `..` and so on. Nil where `name` is none.
func demangledRust(legacy name: String) -> String? {
    var rest = Array(name.utf8.dropFirst(3))[...]
    var parts: [String] = []
    while let first = rest.first, first != UInt8(ascii: "E") {
        var length = 0
        while let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), length < 1 << 20 {
            length = length * 10 + Int(byte - UInt8(ascii: "0"))
            rest = rest.dropFirst()
        }
        guard length > 0, length <= rest.count else { return nil }
        parts.append(String(decoding: rest.prefix(length), as: UTF8.self))
        rest = rest.dropFirst(length)
    }
    guard rest.first == UInt8(ascii: "E"), parts.count > 1, let hash = parts.popLast(), isHash(hash) else { return nil }
    return parts.map(unescaped).joined(separator: "::")
}

private func isHash(_ part: String) -> Bool {
    part.utf8.count == 17 && part.hasPrefix("h") && part.dropFirst().allSatisfy { $0.isASCII && $0.isHexDigit }
}

private let escapes = [
    "SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ",",
]

private func unescaped(_ part: String) -> String {
    // An underscore stands before an escape at the start, for the sake of C++.
    var rest = part.hasPrefix("_$") ? part.dropFirst() : part[...]
    var text = ""
    while let character = rest.first {
        if rest.hasPrefix("..") {
            text += "::"
            rest = rest.dropFirst(2)
        } else if character == "$", let end = rest.dropFirst().firstIndex(of: "$"),
            let plain = plain(rest[rest.index(after: rest.startIndex)..<end])
        {
            text += plain
            rest = rest[rest.index(after: end)...]
        } else {
            text.append(character)
            rest = rest.dropFirst()
        }
    }
    return text
}

/// What stands for an escape: a name of the table, or "u" and a code point.
private func plain(_ escape: Substring) -> String? {
    if let known = escapes[String(escape)] { return known }
    guard escape.hasPrefix("u"), let scalar = UInt32(escape.dropFirst(), radix: 16).flatMap(Unicode.Scalar.init),
        scalar.value >= 0x20, scalar.value != 0x7F
    else { return nil }
    return String(Character(scalar))
}
