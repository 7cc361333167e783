import Glibc

/// The name that a reader knows a function by, from the linker's; `name` itself where it is not mangled.
///
/// Swift: module names, argument types and generic arguments are left out: `UserActivityTracker.record(user:action:)`.
/// Only the standard library's own functions keep theirs, since generics are compiled into the program that uses them
/// and nothing else tells `Swift.Array.append(_:)` from a program's own array.
/// C++: default template arguments and return types are left out, the argument list stays. Rust (legacy and v0): the
/// path, without hashes. Suffixes that compilers append to copies (`.llvm.1`, `.cold`, `.resume.0`) are left out.
public func demangle(_ name: String) -> String {
    if name.hasPrefix("_R") { return demangledRust(v0: name) ?? name }
    if name.hasPrefix("_Z") {
        return demangledRust(legacy: name) ?? demangledByRuntime(name).map(simplified(cxx:)) ?? name
    }
    guard let readable = demangledByRuntime(name).map(simplified(swift:)) else { return name }
    return isSwiftStandardLibrary(name) ? withModule("Swift", readable) : readable
}

/// The demangler of the Swift runtime's own backtraces, which every Swift program contains, linked statically or not.
/// Unlike its public neighbour `swift_demangle` it knows the short form, and hands C++ names to `__cxa_demangle`.
@_silgen_name("_swift_backtrace_demangle")
private func runtimeDemangle(
    _ name: UnsafePointer<CChar>, _ length: Int, _ buffer: UnsafeMutablePointer<CChar>?,
    _ bufferSize: UnsafeMutablePointer<Int>?
) -> UnsafeMutablePointer<CChar>?

/// Nil where `name` is not mangled, or is longer than any real one: the runtime's demangler takes a level of the stack
/// for every few letters, and libstdc++'s can double its output with as many.
private func demangledByRuntime(_ name: String) -> String? {
    guard name.utf8.count <= 4096,
        let text = name.withCString({ runtimeDemangle($0, strlen($0), nil, nil) })
    else { return nil }
    defer { free(text) }
    return strlen(text) < 1 << 16 ? String(cString: text) : nil
}

/// What the name of a Swift variable says of its type, without the standard library's module names:
/// `[String : [App.Event]]`; nil where it is no such name.
func staticType(ofSwift name: String) -> String? {
    guard name.hasPrefix("$s"), name.utf8.count <= 4096,
        let text = name.withCString({ fullDemangle($0, strlen($0), nil, nil, 0) })
    else { return nil }
    defer { free(text) }
    let full = String(cString: text)
    guard let colon = full.firstRange(of: " : ") else { return nil }
    let words = full[colon.upperBound...].replacing("Swift.", with: "").replacing("Synchronization.", with: "")
    return words.utf8.count < 4096 ? String(words) : nil
}

@_silgen_name("swift_demangle")
private func fullDemangle(
    _ name: UnsafePointer<CChar>, _ length: Int, _ buffer: UnsafeMutablePointer<CChar>?,
    _ bufferSize: UnsafeMutablePointer<Int>?, _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

/// "specialized" tells one compiled copy from another, which only splits for a reader what is one function. Of a
/// closure outside any function the runtime leaves out what it is in: a module.
private func simplified(swift name: String) -> String {
    let words = name.split(separator: " ").filter { $0 != "specialized" }
    return words.joined(separator: " ") + (words.last == "in" ? " top-level code" : "")
}

/// By the mangled name (swift's docs/ABI/Mangling.rst): `s` is the module Swift, `S` and a letter one of its types,
/// but `So` and `SC` are imported from C, and `Sa5ThingE` is an extension of Array by the module Thing.
private func isSwiftStandardLibrary(_ name: String) -> Bool {
    guard let mark = name.utf8.firstIndex(of: UInt8(ascii: "s")), name.utf8.starts(with: "$s".utf8) else {
        return false
    }
    let rest = Array(name.utf8[name.utf8.index(after: mark)...].prefix(256))
    guard rest.count > 2 else { return false }
    if rest[0] == UInt8(ascii: "s") { return true }
    guard rest[0] == UInt8(ascii: "S"), rest[1] != UInt8(ascii: "o"), rest[1] != UInt8(ascii: "C") else { return false }
    let digits = rest.dropFirst(2).prefix { (0x30...0x39).contains($0) }.prefix(3)
    let length = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    let after = 2 + digits.count + length
    return digits.isEmpty || after >= rest.count || rest[after] != UInt8(ascii: "E")
}

/// `closure #1 in static Array.map<A>(_:)` → `closure #1 in static Swift.Array.map<A>(_:)`
private func withModule(_ module: String, _ name: String) -> String {
    let head = name.prefix { $0 != "(" && $0 != "<" }
    var start = head.startIndex
    for (word, next) in zip(head.split(separator: " "), head.split(separator: " ").dropFirst())
    where word == "in" || word == "static" || word == "of" || word == "for" {
        start = next.startIndex
    }
    return "\(name[..<start])\(module).\(name[start...])"
}
