import CElf
import Glibc

extension ElfFile {
    /// The mangled name of the function symbol that covers each address; nil where none does.
    /// One pass over the symbol table, O(symbols × log addresses).
    func symbols(for lookups: Lookups) -> [String?] {
        var best = [Symbol?](repeating: nil, count: lookups.addresses.count)
        // [i]: the last symbol at or before address i but after address i − 1.
        var latest = best
        forEachFunctionSymbol { symbol in
            let covered = lookups.indices(from: symbol.start, to: symbol.end)
            if symbol.isSized {
                for index in covered where symbol.isBetter(than: best[index]) { best[index] = symbol }
            }
            let next = lookups.firstIndex(from: symbol.start)
            if next < latest.count, symbol.isBetter(than: latest[next]) { latest[next] = symbol }
        }
        // Hand-written assembly often states no size: such a function reaches to the next symbol.
        var previous: Symbol?
        for index in lookups.indices {
            if let symbol = latest[index] { previous = symbol }
            guard best[index] == nil, let previous, !previous.isSized else { continue }
            if lookups.addresses[index] < previous.end { best[index] = previous }
        }
        return best.map { $0?.name }
    }

    private func forEachFunctionSymbol(_ body: (Symbol) -> Void) {
        let code = codeSections()
        forEachSymbol { entry, name in
            guard let sectionEnd = code[entry.st_shndx],
                let symbol = Symbol(entry, name: name, sectionEnd: sectionEnd)
            else { return }
            body(symbol)
        }
    }

    /// Those that have a name.
    func forEachSymbol(_ body: (GElf_Sym, UnsafePointer<CChar>) -> Void) {
        guard let (section, header) = symbolTable, let data = elf_getdata(section, nil) else { return }
        let entrySize = gelf_fsize(elf, ELF_T_SYM, 1, UInt32(EV_CURRENT))
        guard entrySize > 0 else { return }
        let count = Int32(clamping: data.pointee.d_size / entrySize)
        for index in 0..<count {
            var entry = GElf_Sym()
            guard gelf_getsym(data, index, &entry) != nil,
                let name = elf_strptr(elf, Int(header.sh_link), Int(entry.st_name)), name.pointee != 0
            else { continue }
            body(entry, name)
        }
    }

    /// End address of each section with instructions, by its index.
    private func codeSections() -> [UInt16: UInt64] {
        var ends: [UInt16: UInt64] = [:]
        forEachSection { section, header in
            guard header.sh_flags & UInt64(SHF_EXECINSTR) != 0 else { return }
            ends[UInt16(truncatingIfNeeded: elf_ndxscn(section))] = header.sh_addr &+ header.sh_size
        }
        return ends
    }
}

/// A function as the symbol table has it.
private struct Symbol {
    var start: UInt64
    var end: UInt64
    var isSized: Bool
    private var binding: UInt8
    private var cName: UnsafePointer<CChar>

    /// Nil where the entry is neither a function nor a plain label of assembly.
    init?(_ entry: GElf_Sym, name: UnsafePointer<CChar>, sectionEnd: UInt64) {
        let first = UInt8(bitPattern: name.pointee)
        switch Int32(entry.st_info & 15) {
        case STT_FUNC, STT_GNU_IFUNC: break
        // "$x" marks a kind of code (ARM), ".L…" is a compiler's own label.
        case STT_NOTYPE where first != UInt8(ascii: "$") && first != UInt8(ascii: "."): break
        default: return nil
        }
        start = entry.st_value
        isSized = entry.st_size > 0
        end = isSized ? start &+ entry.st_size : sectionEnd
        guard start < end else { return nil }
        binding = entry.st_info >> 4
        cName = name
    }

    /// Without the version that linkers append ("memcpy@@GLIBC_2.14").
    var name: String {
        let full = String(cString: cName)
        return full.firstIndex(of: "@").map { String(full[..<$0]) } ?? full
    }

    /// The one that starts later; of aliases the one that a programmer would write: "malloc", not "__libc_malloc".
    func isBetter(than other: Symbol?) -> Bool {
        guard let other else { return true }
        if start != other.start { return start > other.start }
        if isSized != other.isSized { return isSized }
        if underscores != other.underscores { return underscores < other.underscores }
        if isGlobal != other.isGlobal { return isGlobal }
        return strcmp(cName, other.cName) < 0
    }

    private var isGlobal: Bool { binding != UInt8(STB_LOCAL) }

    private var underscores: Int {
        var count = 0
        while cName[count] == CChar(UInt8(ascii: "_")) { count += 1 }
        return count
    }
}
