import Glibc

/// The name that a reader knows a function by, from the linker's; `name` itself where it is not mangled.
///
/// Swift: module names, argument types and generic arguments are left out: `UserActivityTracker.record(user:action:)`.
/// C++: default template arguments and return types are left out, the argument list stays. Rust (legacy and v0): the
/// path, without hashes. Suffixes that compilers append to copies (`.llvm.1`, `.cold`, `.resume.0`) are left out.
public func demangle(_ name: String) -> String {
    if name.hasPrefix("_R") { return demangledRust(v0: name) ?? name }
    if name.hasPrefix("_Z") {
        return demangledRust(legacy: name) ?? demangledByRuntime(name).map(simplified(cxx:)) ?? name
    }
    return demangledByRuntime(name).map(simplified(swift:)) ?? name
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

/// "specialized" tells one compiled copy from another, which only splits for a reader what is one function. Of a
/// closure outside any function the runtime leaves out what it is in: a module.
private func simplified(swift name: String) -> String {
    let words = name.split(separator: " ").filter { $0 != "specialized" }
    return words.joined(separator: " ") + (words.last == "in" ? " top-level code" : "")
}
