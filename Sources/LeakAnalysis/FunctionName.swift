/// A demangled name taken apart as far as the judgement of roles needs it. Understands what the demanglers of Swift,
/// C++ and Rust print; anything else is its own qualified name.
struct FunctionName: Sendable {
    /// The function itself: a closure, specialisation, thunk or coroutine part stands for the function it belongs to.
    let owner: String
    /// `owner` without result type and arguments: `std::vector<Event>::push_back`, `App.Tracker.record`.
    let qualified: String

    init(_ demangled: String) {
        // A hostile symbol may be of any length; nobody's function is longer than this.
        owner = Self.owner(of: demangled.utf8.count > 16_384 ? String(demangled.prefix(4096)) : demangled)
        qualified = Self.qualified(owner)
    }

    /// Swift's `init` and `__allocating_init`, C++'s `X::X`, Rust's `X::new`.
    var isConstructor: Bool {
        let (scope, last) = components
        if last == "init" || last == "__allocating_init" || last.hasPrefix("init(") { return owner.contains(".") }
        return !scope.isEmpty && (last == scope || last == "new")
    }

    /// `malloc`, `zmalloc`, `ngx_palloc`, `Pool::alloc`, but neither `dealloc` nor `allocate`, which programs use for
    /// other things than memory.
    var isAllocatorByItsWords: Bool {
        words(of: components.last).contains { word in
            word.hasSuffix("alloc") && !["dealloc", "prealloc", "unalloc", "nonalloc"].contains(word)
        }
    }

    /// The last two parts of the qualified name, without template arguments.
    private var components: (scope: String, last: String) {
        var parts = [""]
        var depth = 0
        var previous: Character = " "
        for character in qualified {
            switch character {
            case "<", "(", "[": depth += 1
            case ">" where previous != "-", ")", "]": depth -= 1
            case ":" where depth == 0, "." where depth == 0: if parts.last != "" { parts.append("") }
            default: if depth == 0 { parts[parts.count - 1].append(character) }
            }
            previous = character
        }
        // Rust's legacy names end in a hash.
        if let last = parts.last, last.count == 17, last.hasPrefix("h"), last.dropFirst().allSatisfy(\.isHexDigit) {
            parts.removeLast()
        }
        return (parts.dropLast().last ?? "", parts.last ?? "")
    }
}

extension FunctionName {
    /// What Swift's demangler puts in front of the function that a piece of code belongs to.
    private static let wrappers = [
        "merged ", "static ", "specialized ", "partial apply forwarder for ", "partial apply for ", "partial apply of ",
        "dispatch thunk of ", "async function pointer to ", "vtable thunk for ", "@objc ", "@nonobjc ",
        "variable initialization expression of ", "one-time initialization function for ", "outlined variable ",
        "protocol witness for ", "protocol self-conformance witness for ",
    ]

    private static func owner(of demangled: String) -> String {
        var rest = demangled[...]
        while let inner = unwrapped(rest), inner.count < rest.count, !inner.isEmpty { rest = inner }
        return String(rest)
    }

    private static func unwrapped(_ name: Substring) -> Substring? {
        for wrapper in wrappers where name.hasPrefix(wrapper) { return name.dropFirst(wrapper.count) }
        // `generic specialization <A> of X`, `function signature specialization <…> of X`
        if let open = name.firstIndex(of: "<"), name[..<open].hasSuffix(" specialization ") {
            return text(after: " of ", in: name)
        }
        // `(2) suspend resume partial function for X`
        if name.hasPrefix("("), let mark = name.firstIndex(of: ")"),
            name[mark...].hasPrefix(") suspend resume partial function for ")
                || name[mark...].hasPrefix(") await resume partial function for ")
        {
            return text(after: " for ", in: name)
        }
        // `closure #1 (A) -> B in X`, `implicit closure #2 in X`, `default argument 0 of X`
        if name.hasPrefix("closure #") || name.hasPrefix("implicit closure #") || name.hasPrefix("local ") {
            return text(after: " in ", in: name)
        }
        if name.hasPrefix("default argument ") { return text(after: " of ", in: name) }
        // `X in conformance Y`, of witnesses
        if let witness = text(before: " in conformance ", in: name) { return witness }
        return nil
    }

    /// What follows the first `separator` that stands outside of all brackets.
    private static func text(after separator: String, in name: Substring) -> Substring? {
        position(of: separator, in: name).map { name[$0...].dropFirst(separator.count) }
    }

    private static func text(before separator: String, in name: Substring) -> Substring? {
        position(of: separator, in: name).map { name[..<$0] }
    }

    private static func position(of separator: String, in name: Substring) -> Substring.Index? {
        var depth = 0
        var previous: Character = " "
        for index in name.indices {
            let character = name[index]
            if depth == 0, character == " ", name[index...].hasPrefix(separator) { return index }
            if "<([{".contains(character) { depth += 1 }
            if ")]}".contains(character) || character == ">" && previous != "-" { depth -= 1 }
            previous = character
        }
        return nil
    }

    /// Drops C++'s result type and the argument list.
    ///
    /// `operator` is followed by characters that mean something else everywhere else, so the name ends there.
    private static func qualified(_ name: String) -> String {
        // `(extension in App):Swift.Array.grow()` is App's code, whatever type it extends.
        if name.hasPrefix("(extension in "), let end = name.firstIndex(of: ")") {
            return name.dropFirst("(extension in ".count).prefix { $0 != ")" } + "." + name[end...].dropFirst(2)
        }
        var start = name.startIndex
        var depth = 0
        var previous: Character = " "
        for index in name.indices {
            let character = name[index]
            defer { previous = character }
            // A Swift operator ends here, which may look like a bracket: `Swift.Int.< infix(…)`.
            if character == " ", fixities.contains(where: name[index...].hasPrefix) {
                return String(name[start..<index])
            }
            switch character {
            case "o" where depth == 0 && isOperator(at: index, in: name): return String(name[start...])
            case "(" where depth == 0 && !name[index...].hasPrefix("(anonymous namespace)"):
                return String(name[start..<index])
            case "<", "(", "[": depth += 1
            case ">" where previous != "-", ")", "]": depth -= 1
            case " " where depth == 0:
                // A Swift name ends at its type; a C++ one begins after its result.
                if name[index...].hasPrefix(" : ") || name[index...].hasPrefix(" -> ") {
                    return String(name[start..<index])
                }
                start = name.index(after: index)
            default: break
            }
        }
        return String(name[start...])
    }

    private static let fixities = [" infix(", " infix<", " prefix(", " prefix<", " postfix(", " postfix<"]

    private static func isOperator(at index: String.Index, in name: String) -> Bool {
        guard name[index...].hasPrefix("operator") else { return false }
        let isStart = index == name.startIndex || " :".contains(name[name.index(before: index)])
        let next = name[index...].dropFirst("operator".count).first ?? " "
        return isStart && !next.isLetter && !next.isNumber && next != "_"
    }
}

/// Words of an identifier, in lower case: `fooBar_baz` has three.
private func words(of identifier: String) -> [String] {
    var words = [""]
    for character in identifier {
        if character == "_" || character.isUppercase && words.last?.last?.isUppercase == false { words.append("") }
        if character.isLetter { words[words.count - 1].append(character) }
    }
    return words.map { $0.lowercased() }
}
