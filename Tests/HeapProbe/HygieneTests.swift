import TestSupport
import Testing

/// What the probe brings into every process.
@Suite struct HygieneTests {
    @Test func itNeedsNothingButLibc() throws {
        let readelf = try #require(findProgram("readelf"), "binutils is installed by Tests/run.sh")
        let needed = try run(readelf, ["-d", Products.probe]).output.split(separator: "\n")
            .filter { $0.contains("(NEEDED)") }
            .compactMap { $0.split(separator: "[").last?.dropLast() }
        #expect(!needed.isEmpty)
        #expect(Set(needed).isSubset(of: ["libc.so.6", "ld-linux-x86-64.so.2"]), "\(needed)")
    }

    @Test func itExportsTheAllocatorFamilyAndNothingElse() throws {
        let nm = try #require(findProgram("nm"), "binutils is installed by Tests/run.sh")
        let exported = try run(nm, ["-D", "--defined-only", Products.probe]).output.split(separator: "\n")
            .compactMap { $0.split(separator: " ").last.map(String.init) }
        let family: Set = [
            "malloc", "calloc", "realloc", "reallocarray", "free", "free_sized", "free_aligned_sized", "posix_memalign",
            "aligned_alloc", "memalign", "valloc", "pvalloc",
        ]
        let others = exported.filter { !family.contains($0) && !isOperator($0) }
        #expect(family.isSubset(of: exported))
        #expect(others.isEmpty)
    }

    /// Itanium C++ ABI: _Znw, _Zna, _Zdl, _Zda are operator new, new[], delete, delete[].
    private func isOperator(_ name: String) -> Bool {
        ["_Znw", "_Zna", "_Zdl", "_Zda"].contains { name.hasPrefix($0) }
    }
}
