import HeapProfile
import Symbolication
import Testing

/// All of a program's code, address by address, against LLVM's symbolizer, which comes with the Swift toolchain.
@Suite(.enabled(if: tool("llvm-symbolizer") != nil && tool("llvm-objdump") != nil, "the LLVM tools are not installed"))
struct OracleTests {
    @Test func cxx() throws {
        let workshop = try Workshop()
        try workshop.write("program.cc", cxxProgram)
        try workshop.run([
            "clang++", "-std=c++17", "-O2", "-g", "program.cc", try workshop.makePlace(), "-o", "program",
        ])
        try compare("program", in: workshop)
    }

    @Test func swift() throws {
        let workshop = try Workshop()
        try workshop.write("program.swift", swiftProgram)
        let place = try workshop.makePlace()
        try workshop.run(["swiftc", "-O", "-g", "program.swift", place, "-o", "program"])
        try compare("program", in: workshop)
    }

    private func compare(_ program: String, in workshop: Workshop) throws {
        let addresses = try code(of: program, in: workshop)
        #expect(addresses.count > 100)
        let modules = [Module(path: workshop.file(program))]
        var symbolicator = Symbolicator(debugDirectories: [])
        // The lookup takes return addresses: the byte before each is looked up.
        let table = symbolicator.resolve(addresses.map { CodeAddress(module: 0, offset: $0 + 1) }, in: modules)
        let expected = try oracle(addresses, of: program, in: workshop)
        var compared = 0
        for address in addresses {
            guard let theirs = expected[address], theirs.allSatisfy({ $0.function != "??" }) else { continue }
            let ours = table.frames(of: CodeAddress(module: 0, offset: address + 1), in: modules)
            #expect(agree(ours, theirs), "at 0x\(String(address, radix: 16)): \(ours.map(brief)) \(theirs.map(brief))")
            compared += 1
        }
        #expect(compared > 50)
    }

    /// A mangled name that libstdc++ cannot demangle is replaced by DWARF's plain one: nothing to compare.
    private func agree(_ ours: [Frame], _ theirs: [Frame]) -> Bool {
        ours.count == theirs.count
            && zip(ours, theirs).allSatisfy { ours, theirs in
                (ours.function == theirs.function || theirs.label.hasPrefix("_Z")) && ours.isInlined == theirs.isInlined
                    && (theirs.file == nil || ours.file == theirs.file && ours.line == theirs.line)
            }
    }

    /// Every third byte of `.text`.
    private func code(of program: String, in workshop: Workshop) throws -> [UInt64] {
        let headers = try workshop.run(["llvm-objdump", "--section-headers", program]).split(separator: "\n")
        let text = try #require(headers.map { $0.split(separator: " ") }.first { $0.count > 3 && $0[1] == ".text" })
        let size = try #require(UInt64(text[2], radix: 16))
        let start = try #require(UInt64(text[3], radix: 16))
        return Array(stride(from: start, to: start + size, by: 3))
    }

    private func oracle(
        _ addresses: [UInt64], of program: String, in workshop: Workshop
    ) throws -> [UInt64: [Frame]] {
        let output = try workshop.run(
            [
                "llvm-symbolizer", "--addresses", "--inlines", "--functions=linkage", "--no-demangle",
                "--output-style=LLVM", "--obj=\(program)",
            ], input: addresses.map { "0x\(String($0, radix: 16))\n" }.joined())
        var frames: [UInt64: [Frame]] = [:]
        for block in output.split(separator: "\n\n") {
            let lines = block.split(separator: "\n")
            let address = try #require(UInt64(lines[0].dropFirst(2), radix: 16))
            let pairs = stride(from: 1, to: lines.count - 1, by: 2).map { (lines[$0], lines[$0 + 1]) }
            frames[address] = pairs.enumerated().map { depth, pair in
                frame(function: String(pair.0), position: pair.1, isInlined: depth < pairs.count - 1)
            }
        }
        return frames
    }

    /// `position` is file:line:column. Without a line LLVM names the file after a symbol: no file then.
    private func frame(function: String, position: Substring, isInlined: Bool) -> Frame {
        let parts = position.split(separator: ":")
        let line = Int(parts[parts.count - 2]) ?? 0
        let file = line > 0 && !parts[0].hasSuffix(">") ? String(parts[0]) : nil
        return Frame(
            function: demangle(function), module: "", file: file, line: line > 0 ? line : nil, isInlined: isInlined)
    }
}
