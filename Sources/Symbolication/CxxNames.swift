/// What a reader needs of a demangled C++ name: `std::map<int, Event, std::less<int>, std::allocator<…> >` is
/// `std::map<int, Event>`, `std::__cxx11::basic_string<char, …>` is `std::string`, `void f<int>(int)` is `f<int>(int)`,
/// and `[clone .cold]` goes. Anything it does not understand stays as it is.
func simplified(cxx name: String) -> String {
    var simplifier = CxxSimplifier(bytes: Array(name.utf8))
    simplifier.run()
    return simplifier.result
}

private struct CxxSimplifier {
    let bytes: [UInt8]
    private var index = 0
    private var output: [UInt8] = []
    /// Brackets that are open, each by its opening character.
    private var open: [UInt8] = []
    /// Where the function's own name begins in `output`, past its return type.
    private var nameStart = 0
    private var isInArguments = false
    private var isOperator = false

    private static let defaultArguments = [
        "std::allocator<", "std::char_traits<", "std::less<", "std::hash<", "std::equal_to<", "std::default_delete<",
    ].map { ", " + $0 }

    init(bytes: [UInt8]) { self.bytes = bytes }

    var result: String {
        String(decoding: output[nameStart...], as: UTF8.self).replacing("std::basic_string<char>", with: "std::string")
    }

    mutating func run() {
        while index < bytes.count {
            if starts(with: " [clone ") { return }
            if starts(with: "__cxx11::") {
                index += 9
                continue
            }
            if starts(with: "operator"), !isIdentifier(at: index - 1), !isIdentifier(at: index + 8) { copyOperator() }
            if index < bytes.count, !skipDefaultArgument() { copyByte() }
        }
    }

    private mutating func copyByte() {
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "<"): open.append(byte)
        case UInt8(ascii: "("):
            // "(anonymous namespace)" and "int (*f())()" do not begin the arguments.
            if open.isEmpty, !starts(with: "(anonymous namespace)"), !starts(with: "(*") { isInArguments = true }
            open.append(byte)
        case UInt8(ascii: ">") where open.last == UInt8(ascii: "<"):
            open.removeLast()
            // "> >" was needed before C++11.
            if output.last == UInt8(ascii: " "), output.dropLast().last == byte { output.removeLast() }
        case UInt8(ascii: ")") where open.last == UInt8(ascii: "("): open.removeLast()
        case UInt8(ascii: " ") where open.isEmpty && !isInArguments && !isOperator: nameStart = output.count + 1
        default: break
        }
        output.append(byte)
        index += 1
    }

    /// "operator<", "operator()", "operator->": none of these characters is a bracket.
    private mutating func copyOperator() {
        let symbols = Array("<>=-+*/%^&|~!,()[]".utf8)
        isOperator = isOperator || open.isEmpty
        var end = index + 8
        if end + 1 < bytes.count, bytes[end] == UInt8(ascii: "(") {
            end += 2
        } else {
            while end < bytes.count, symbols.contains(bytes[end]), bytes[end] != UInt8(ascii: "(") { end += 1 }
        }
        output += bytes[index..<end]
        index = end
    }

    /// Passes over ", std::allocator<…>" among template arguments.
    private mutating func skipDefaultArgument() -> Bool {
        guard bytes[index] == UInt8(ascii: ","), open.last == UInt8(ascii: "<"),
            Self.defaultArguments.contains(where: starts(with:))
        else { return false }
        var depth = 0
        var end = index + 1
        while end < bytes.count {
            switch bytes[end] {
            case UInt8(ascii: "<"): depth += 1
            case UInt8(ascii: ">"):
                if depth == 0 {
                    index = end
                    return true
                }
                depth -= 1
            case UInt8(ascii: ",") where depth == 0:
                index = end
                return true
            default: break
            }
            end += 1
        }
        return false
    }

    private func starts(with text: String) -> Bool { bytes[index...].starts(with: text.utf8) }

    private func isIdentifier(at position: Int) -> Bool {
        guard bytes.indices.contains(position) else { return false }
        switch bytes[position] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            return true
        default: return false
        }
    }
}
