import CElf

/// One pass over the functions of a compilation unit, for all addresses of the unit together.
struct UnitWalk {
    private let lookups: Lookups
    private let covered: [Int]
    private var unit: Dwarf_Die
    private var files: OpaquePointer?
    private var scopes: [Int: [SourceLocation.Scope]] = [:]
    /// Where in memory the entry visited last begins.
    private var latest: UInt = 0

    /// Deeper nesting than any compiler writes: a damaged file must not exhaust the stack.
    private static let maxDepth = 256

    /// Nil where no unit begins at `offset`, which is that of its DIE in `.debug_info`.
    init?(lookups: Lookups, covered: [Int], offset: Dwarf_Off, in dwarf: OpaquePointer) {
        self.lookups = lookups
        self.covered = covered
        unit = Dwarf_Die()
        // With split DWARF the functions are in another file.
        var split = Dwarf_Die()
        guard dwarf_offdie(dwarf, offset, &unit) != nil,
            dwarf_cu_info(unit.cu, nil, nil, nil, &split, nil, nil, nil) == 0
        else { return nil }
        var count = 0
        if dwarf_getsrcfiles(&unit, &files, &count) != 0 { files = nil }
        visitChildren(of: split.addr == nil ? unit : split, inside: [], depth: 0)
    }

    func location(at index: Int) -> SourceLocation {
        SourceLocation(scopes: scopes[index] ?? [], position: position(of: lookups.addresses[index]))
    }

    /// `function`: the addresses that the enclosing function, or inlined call, covers.
    private mutating func visitChildren(of parent: Dwarf_Die, inside function: [Int], depth: Int) {
        var parent = parent
        var die = Dwarf_Die()
        guard depth < Self.maxDepth, dwarf_child(&parent, &die) == 0 else { return }
        // Entries stand in the order of this walk. One that does not is damage, and could be visited without end.
        while UInt(bitPattern: die.addr) > latest {
            latest = UInt(bitPattern: die.addr)
            visit(&die, inside: function, depth: depth + 1)
            var next = Dwarf_Die()
            guard dwarf_siblingof(&die, &next) == 0 else { return }
            die = next
        }
    }

    private mutating func visit(_ die: inout Dwarf_Die, inside function: [Int], depth: Int) {
        switch Int(dwarf_tag(&die)) {
        case DW_TAG_subprogram:
            // Identical functions that the linker folded cover the same address: the first stands for all.
            let hits = coverage(of: &die, among: covered, in: lookups).filter { scopes[$0] == nil }
            add(&die, to: hits)
            // Swift keeps closures inside the function they are written in, whether or not that has code of its own.
            visitChildren(of: die, inside: hits, depth: depth)
        case DW_TAG_inlined_subroutine:
            let hits = coverage(of: &die, among: function, in: lookups)
            if hits.isEmpty { return }
            add(&die, to: hits)
            visitChildren(of: die, inside: hits, depth: depth)
        case DW_TAG_lexical_block, DW_TAG_try_block, DW_TAG_catch_block, DW_TAG_namespace, DW_TAG_module,
            DW_TAG_structure_type, DW_TAG_class_type, DW_TAG_union_type, DW_TAG_enumeration_type:
            visitChildren(of: die, inside: function, depth: depth)
        default: break
        }
    }

    private mutating func add(_ die: inout Dwarf_Die, to hits: [Int]) {
        if hits.isEmpty { return }
        let scope = SourceLocation.Scope(
            linkageName: string(DW_AT_linkage_name, of: &die) ?? string(DW_AT_MIPS_linkage_name, of: &die),
            name: plainName(of: &die),
            file: SourcePosition(file: dwarf_decl_file(&die), line: 0).file, call: callPosition(of: &die))
        for index in hits { scopes[index, default: []].append(scope) }
    }

    /// `operator()` with its class, or, of a lambda, whose class has no name, with its place, as in clang's messages.
    private func plainName(of die: inout Dwarf_Die) -> String? {
        let name = string(DW_AT_name, of: &die)
        guard name == "operator()", var object = objectType(of: die) else { return name }
        if let type = string(DW_AT_name, of: &object), !type.hasPrefix("<lambda") { return "\(type)::operator()" }
        var (line, column): (Int32, Int32) = (0, 0)
        guard dwarf_decl_line(&object, &line) == 0, dwarf_decl_column(&object, &column) == 0,
            let file = SourcePosition(file: dwarf_decl_file(&object), line: 0).file?.split(separator: "/").last
        else { return name }
        return "lambda at \(file):\(line):\(column)"
    }

    /// What `this` points to in a member function, through pointers and qualifiers.
    private func objectType(of function: Dwarf_Die) -> Dwarf_Die? {
        guard var type = entry(DW_AT_object_pointer, of: function) else { return nil }
        for _ in 0..<8 {
            if [DW_TAG_structure_type, DW_TAG_class_type].contains(Int(dwarf_tag(&type))) { return type }
            guard let next = entry(DW_AT_type, of: type) else { return nil }
            type = next
        }
        return nil
    }

    private func entry(_ name: Int, of die: Dwarf_Die) -> Dwarf_Die? {
        var (die, attribute, found) = (die, Dwarf_Attribute(), Dwarf_Die())
        guard dwarf_attr_integrate(&die, UInt32(name), &attribute) != nil, dwarf_formref_die(&attribute, &found) != nil
        else { return nil }
        return found
    }

    /// The attribute of `die` or of what it is an instance of (DW_AT_abstract_origin, DW_AT_specification).
    private func string(_ name: Int, of die: inout Dwarf_Die) -> String? {
        var attribute = Dwarf_Attribute()
        guard dwarf_attr_integrate(&die, UInt32(name), &attribute) != nil, let text = dwarf_formstring(&attribute)
        else { return nil }
        return String(cString: text)
    }

    private func callPosition(of die: inout Dwarf_Die) -> SourcePosition? {
        guard let line = number(DW_AT_call_line, of: &die) else { return nil }
        guard let files, let index = number(DW_AT_call_file, of: &die) else {
            return SourcePosition(file: nil, line: line)
        }
        return SourcePosition(file: dwarf_filesrc(files, index, nil, nil), line: line)
    }

    private func number(_ name: Int, of die: inout Dwarf_Die) -> Int? {
        var attribute = Dwarf_Attribute()
        var value: Dwarf_Word = 0
        guard dwarf_attr(&die, UInt32(name), &attribute) != nil, dwarf_formudata(&attribute, &value) == 0 else {
            return nil
        }
        return Int(exactly: value)
    }

    private func position(of address: UInt64) -> SourcePosition? {
        var unit = unit
        guard let row = dwarf_getsrc_die(&unit, address) else { return nil }
        var line: Int32 = 0
        guard dwarf_lineno(row, &line) == 0 else { return nil }
        return SourcePosition(file: dwarf_linesrc(row, nil, nil), line: Int(line))
    }
}
