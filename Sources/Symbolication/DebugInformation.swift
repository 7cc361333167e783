import CElf

/// What DWARF (versions 2 to 5, split and compressed forms included) says about one address.
struct SourceLocation {
    /// The function and the calls inlined into it, outermost first. Empty where only the line is known.
    var scopes: [Scope] = []
    /// Of the innermost scope.
    var position: SourcePosition?

    struct Scope {
        /// The name the linker sees, mangled where the language mangles.
        var linkageName: String?
        /// The name in the source, without what it is a member of.
        var name: String?
        /// Where it is declared.
        var file: String?
        /// Where it was called, for an inlined one.
        var call: SourcePosition?
    }
}

struct SourcePosition {
    /// Nil for code that the compiler made up.
    var file: String?
    /// Nil where the compiler merged or made up code: DWARF says line 0 then.
    var line: Int?

    init(file: UnsafePointer<CChar>?, line: Int) {
        // swiftc writes /the/working/folder/<compiler-generated>, and <stdin>.
        let name = file.map { String(cString: $0) } ?? ""
        self.file = name.isEmpty || name.hasSuffix(">") ? nil : name
        self.line = line > 0 ? line : nil
    }
}

/// The DWARF of one file.
///
/// libdw keeps every table it decodes until `dwarf_end`, and the lines of a large unit take tens of megabytes. Opening
/// it anew is cheap, but it then looks at all units again: a few units at a time keep both memory and time in bounds.
struct DebugInformation {
    let file: ElfFile

    private static let unitsAtATime = 16

    /// Nil where the file has DWARF that libdw cannot read.
    func locations(of lookups: Lookups) -> [SourceLocation?]? {
        guard let units = units(covering: lookups) else { return nil }
        var locations = [SourceLocation?](repeating: nil, count: lookups.addresses.count)
        for start in stride(from: 0, to: units.count, by: Self.unitsAtATime) {
            guard let dwarf = dwarf_begin_elf(file.elf, DWARF_C_READ, nil) else { return nil }
            defer { dwarf_end(dwarf) }
            for unit in units[start...].prefix(Self.unitsAtATime) {
                guard let walk = UnitWalk(lookups: lookups, covered: unit.covered, offset: unit.offset, in: dwarf)
                else { continue }
                for index in unit.covered { locations[index] = walk.location(at: index) }
            }
        }
        return locations
    }

    /// Offsets in `.debug_info` of the units with code at the addresses. One pass over the units' headers.
    private func units(covering lookups: Lookups) -> [(offset: Dwarf_Off, covered: [Int])]? {
        guard let dwarf = dwarf_begin_elf(file.elf, DWARF_C_READ, nil) else { return nil }
        defer { dwarf_end(dwarf) }
        var found: [(offset: Dwarf_Off, covered: [Int])] = []
        var open = Array(lookups.indices)
        var unit: OpaquePointer?
        while !open.isEmpty {
            var next: OpaquePointer?
            var type: UInt8 = 0
            var die = Dwarf_Die()
            guard dwarf_get_units(dwarf, unit, &next, nil, &type, &die, nil) == 0, let next else { break }
            unit = next
            guard Int(type) == DW_UT_compile || Int(type) == DW_UT_skeleton else { continue }
            let covered = coverage(of: &die, among: open, in: lookups)
            if covered.isEmpty { continue }
            found.append((dwarf_dieoffset(&die), covered))
            open.removeAll(where: Set(covered).contains)
        }
        return found
    }
}

/// The part of `indices`, ascending, whose addresses the code of `die` covers.
func coverage(of die: inout Dwarf_Die, among indices: [Int], in lookups: Lookups) -> [Int] {
    if indices.isEmpty { return [] }
    var covered: [Int] = []
    var base: Dwarf_Addr = 0
    var start: Dwarf_Addr = 0
    var end: Dwarf_Addr = 0
    var offset = 0
    var ranges = 0
    while true {
        offset = dwarf_ranges(&die, offset, &base, &start, &end)
        guard offset > 0 else { break }
        // Linkers leave the debug information of functions they dropped, at address 0.
        if start == 0 { continue }
        let hits = lookups.slice(of: indices, from: start, to: end)
        if hits.isEmpty { continue }
        covered += hits
        ranges += 1
    }
    return ranges > 1 ? Array(Set(covered)).sorted() : covered
}
