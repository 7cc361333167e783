/// Rust's v0 mangling (RFC 2603), printed as `rustc-demangle` prints its short form: no hashes of crates, no types of
/// constants. Nil where `name` is not such a name, or is one that no compiler writes.
func demangledRust(v0 name: String) -> String? {
    // A dot begins what LLVM appends.
    let body = name.dropFirst(2).prefix { $0 != "." }
    guard let first = body.utf8.first, (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) else { return nil }
    var demangler = RustDemangler(bytes: Array(body.utf8))
    do {
        try demangler.path(isValue: true)
        return demangler.output
    } catch {
        return nil
    }
}

struct RustDemangler {
    struct Malformed: Error {}

    let bytes: [UInt8]
    var index = 0
    var output = ""
    /// An impl's own path is passed over: its type says it.
    private var isSilent = false
    private var depth = 0
    /// Productions begun. Back references can make an output exponentially long.
    private var work = 0
    /// Lifetimes that enclosing `for<…>` bind.
    var boundLifetimes = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func print(_ text: String) { if !isSilent { output += text } }

    var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    mutating func next() throws -> UInt8 {
        guard index < bytes.count else { throw Malformed() }
        defer { index += 1 }
        return bytes[index]
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    /// Runs `body` one level deeper, within bounds that no real name meets.
    mutating func nested(_ body: (inout RustDemangler) throws -> Void) throws {
        depth += 1
        work += 1
        guard depth < 128, work < 4096, output.utf8.count < 1 << 16 else { throw Malformed() }
        try body(&self)
        depth -= 1
    }

    mutating func silently(_ body: (inout RustDemangler) throws -> Void) throws {
        let wasSilent = isSilent
        isSilent = true
        try body(&self)
        isSilent = wasSilent
    }

    /// `B` was read: goes back to the production it names, runs `body` there and returns.
    mutating func backReference(_ body: (inout RustDemangler) throws -> Void) throws {
        let tag = index - 1
        let target = try base62()
        guard target < tag else { throw Malformed() }
        if isSilent { return }
        let resume = index
        index = target
        try nested(body)
        index = resume
    }

    /// Runs `body` for each element up to `E`, with `separator` between them; returns how many there were.
    @discardableResult
    mutating func list(
        separator: String, _ body: (inout RustDemangler) throws -> Void
    ) throws -> Int {
        var count = 0
        while !take("E") {
            if count > 0 { print(separator) }
            try body(&self)
            count += 1
        }
        return count
    }

    // MARK: Numbers and identifiers

    mutating func base62() throws -> Int {
        if take("_") { return 0 }
        var value = 0
        while true {
            let byte = try next()
            let digit: Int
            switch byte {
            case UInt8(ascii: "_"): return value + 1
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = Int(byte - UInt8(ascii: "a")) + 10
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = Int(byte - UInt8(ascii: "A")) + 36
            default: throw Malformed()
            }
            // Disambiguators are 64-bit hashes now and then: they only have to be passed over.
            value = (value &* 62 &+ digit) & (1 << 62 - 1)
        }
    }

    mutating func optionalBase62(_ tag: Unicode.Scalar) throws -> Int {
        take(tag) ? try base62() + 1 : 0
    }

    mutating func identifier() throws -> String {
        let isPunycode = take("u")
        var length = 0
        guard let first = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { throw Malformed() }
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), length < 1 << 20 {
            length = length * 10 + Int(byte - UInt8(ascii: "0"))
            index += 1
            if first == UInt8(ascii: "0") { break }
        }
        _ = take("_")
        guard length <= bytes.count - index else { throw Malformed() }
        let text = bytes[index..<index + length]
        index += length
        if !isPunycode { return String(decoding: text, as: UTF8.self) }
        guard let decoded = decodedPunycode(text) else { throw Malformed() }
        return decoded
    }
}

/// RFC 3492, with "_" as the delimiter.
private func decodedPunycode(_ text: ArraySlice<UInt8>) -> String? {
    let delimiter = text.lastIndex(of: UInt8(ascii: "_"))
    var scalars = delimiter.map { text[..<$0].map { Unicode.Scalar($0) } } ?? []
    var rest = delimiter.map { text[($0 + 1)...] } ?? text
    var code = 128
    var position = 0
    var bias = 72
    var isFirst = true
    while !rest.isEmpty {
        let start = position
        var weight = 1
        for step in 1... {
            guard let byte = rest.popFirst() else { return nil }
            let digit: Int
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = Int(byte - UInt8(ascii: "a"))
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = Int(byte - UInt8(ascii: "0")) + 26
            default: return nil
            }
            guard weight < 1 << 32, position < 1 << 32 else { return nil }
            position += digit * weight
            let threshold = min(max(36 * step - bias, 1), 26)
            if digit < threshold { break }
            weight *= 36 - threshold
        }
        let count = scalars.count + 1
        var delta = (position - start) / (isFirst ? 700 : 2)
        delta += delta / count
        var steps = 0
        while delta > 455 {
            delta /= 35
            steps += 36
        }
        bias = steps + 36 * delta / (delta + 38)
        isFirst = false
        code += position / count
        position %= count
        guard let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) else { return nil }
        scalars.insert(scalar, at: position)
        position += 1
    }
    return String(String.UnicodeScalarView(scalars))
}
