import Foundation
import HeapProfile
import Symbolication
import TestSupport
import Testing

/// Damaged files: whatever they say, the lookup ends and gives well-formed frames.
struct FuzzTests {
    private let workshop: Workshop
    private let original: Data
    private let addresses: [CodeAddress]

    init() throws {
        workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        try workshop.run(["clang", "-O2", "-g", "program.c", try workshop.makePlace(), "-o", "program"])
        original = try Data(contentsOf: URL(fileURLWithPath: workshop.file("program")))
        let place = try workshop.places("program")[0].offset
        // Neighbours too, so that damage elsewhere is looked at.
        addresses = (0..<32).map { CodeAddress(module: 0, offset: place &- 64 &+ $0 * 4) }
    }

    private func check(_ data: Data) throws {
        try data.write(to: URL(fileURLWithPath: workshop.file("damaged")))
        let modules = [Module(path: workshop.file("damaged"))]
        var symbolicator = Symbolicator(debugDirectories: [])
        let table = symbolicator.resolve(addresses, in: modules)
        #expect(symbolicator.variables(of: modules[0].path).allSatisfy { $0.size > 0 && $0.type?.isEmpty != true })
        for (address, frames) in table.frames {
            #expect(addresses.contains(address))
            #expect(!frames.isEmpty && frames.last?.isInlined == false)
            #expect(frames.dropLast().allSatisfy { $0.isInlined })
            #expect(frames.allSatisfy { $0.line ?? 1 > 0 && $0.offset == address.offset })
        }
    }

    @Test func flippedBytes() throws {
        for seed in 0..<600 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            var data = original
            for _ in 0..<(1 << Int.random(in: 0..<7, using: &random)) {
                data[Int.random(in: data.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            try check(data)
        }
    }

    /// The same in one section at a time: a flip anywhere mostly meets code or padding.
    @Test(arguments: [
        ".debug_info", ".debug_abbrev", ".debug_line", ".debug_line_str", ".debug_addr", ".debug_str_offsets",
        ".symtab",
        ".strtab", "headers",
    ])
    func flippedBytesOfASection(name: String) throws {
        let range = try section(name)
        var random = SplitMix64(seed: 7)
        for _ in 0..<300 {
            var data = original
            for _ in 0..<(1 << Int.random(in: 0..<4, using: &random)) {
                data[Int.random(in: range, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            try check(data)
        }
    }

    @Test func cutFiles() throws {
        for length in stride(from: 0, to: original.count, by: original.count / 60) {
            try check(original.prefix(length))
        }
    }

    /// Found by flipping bytes: entries whose first child is also their sibling double the walk with each level.
    @Test func entangledEntries() throws {
        #if arch(x86_64)
            let entries = (0..<64).map { ".Lentry\($0): .uleb128 2; .long .Lentry\($0 + 1) - .Lunit" }
            try workshop.write(
                "entangled.s",
                """
                .text
                .globl main
                main: push %rbp
                call place
                xor %eax, %eax
                pop %rbp
                ret
                .Lend:
                .section .debug_abbrev,"",@progbits
                # A compile unit (low_pc: addr, high_pc: data8) and a namespace (sibling: ref4), both with children.
                .byte 1, 0x11, 1, 0x11, 0x01, 0x12, 0x07, 0, 0
                .byte 2, 0x39, 1, 0x01, 0x13, 0, 0, 0
                .section .debug_info,"",@progbits
                .Lunit: .long .Linfoend - .Lversion
                .Lversion: .short 4; .long 0; .byte 8
                .uleb128 1; .quad main, .Lend - main
                \(entries.joined(separator: "\n"))
                .Lentry64: .byte 0
                .Linfoend:
                .section .note.GNU-stack,"",@progbits
                """)
            try workshop.run(["clang", "entangled.s", "place.o", "-o", "entangled"])
            let modules = [Module(path: workshop.file("entangled"))]
            let places = try workshop.places("entangled")
            var symbolicator = Symbolicator(debugDirectories: [])
            #expect(brief(symbolicator.resolve(places, in: modules), places[0], in: modules) == ["main"])
        #endif
    }

    /// Range of a section in the file, or of the section header table. Layout: ELF-64 Object File Format, tables 3 and 8.
    private func section(_ name: String) throws -> Range<Int> {
        let table = original.number(at: 40, bytes: 8)
        if name == "headers" { return table..<original.count }
        let headers = (0..<original.number(at: 60, bytes: 2)).map { table + $0 * 64 }
        func range(_ header: Int) -> Range<Int> {
            let start = original.number(at: header + 24, bytes: 8)
            return start..<start + original.number(at: header + 32, bytes: 8)
        }
        let names = original[range(headers[original.number(at: 62, bytes: 2)])]
        let header = try #require(
            headers.first { header in
                let start = names.startIndex + original.number(at: header, bytes: 4)
                return String(decoding: names[start...].prefix { $0 != 0 }, as: UTF8.self) == name
            }, "no section \(name)")
        return range(header)
    }
}

extension Data {
    /// Little endian.
    fileprivate func number(at offset: Int, bytes: Int) -> Int {
        self[offset..<offset + bytes].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}
