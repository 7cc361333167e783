import CElf
import Glibc

/// The declared types of variables with a place of their own, as DWARF has them. Swift's are left out, whose symbols say
/// more. One pass over all entries of the file's units: about a second for a million.
struct VariableTypes {
    struct Declared {
        /// `std::map<int, Event>`, `const Node *`
        var type: String
        /// Bytes of an element, where it is a `std::vector` or `std::deque`.
        var elementSize: UInt64?
    }

    struct Place: Hashable {
        /// As the file numbers it; of a thread-local, the offset in the module's block.
        var address: UInt64
        var isThreadLocal: Bool
    }

    private(set) var declared: [Place: Declared] = [:]
    private let wanted: Set<Place>
    /// Where in memory the entry visited last begins.
    private var latest: UInt = 0

    private static let maxDepth = 64
    private static let swift: Int32 = 0x1e  // DW_LANG_Swift

    init(_ file: ElfFile, of wanted: Set<Place>) {
        self.wanted = wanted
        guard let dwarf = dwarf_begin_elf(file.elf, DWARF_C_READ, nil) else { return }
        defer { dwarf_end(dwarf) }
        var unit: OpaquePointer?
        while true {
            var next: OpaquePointer?
            var type: UInt8 = 0
            var die = Dwarf_Die()
            guard dwarf_get_units(dwarf, unit, &next, nil, &type, &die, nil) == 0, let next else { return }
            unit = next
            guard Int(type) == DW_UT_compile, dwarf_srclang(&die) != Self.swift else { continue }
            visitChildren(of: die, depth: 0)
        }
    }

    private mutating func visitChildren(of parent: Dwarf_Die, depth: Int) {
        var parent = parent
        var die = Dwarf_Die()
        guard depth < Self.maxDepth, dwarf_child(&parent, &die) == 0 else { return }
        // Entries stand in the order of this walk. One that does not is damage, and could be visited without end.
        while UInt(bitPattern: die.addr) > latest {
            latest = UInt(bitPattern: die.addr)
            switch Int(dwarf_tag(&die)) {
            case DW_TAG_variable: add(&die)
            case DW_TAG_namespace, DW_TAG_module, DW_TAG_structure_type, DW_TAG_class_type, DW_TAG_subprogram,
                DW_TAG_lexical_block:
                visitChildren(of: die, depth: depth + 1)
            default: break
            }
            var next = Dwarf_Die()
            guard dwarf_siblingof(&die, &next) == 0 else { return }
            die = next
        }
    }

    private mutating func add(_ die: inout Dwarf_Die) {
        guard let place = place(of: &die), wanted.contains(place), declared[place] == nil,
            var type = type(of: &die)
        else { return }
        declared[place] = Declared(type: name(of: &type), elementSize: elementSize(ofSequence: type))
    }

    private func place(of die: inout Dwarf_Die) -> Place? {
        var attribute = Dwarf_Attribute()
        var operations: UnsafeMutablePointer<Dwarf_Op>?
        var count = 0
        guard dwarf_attr(&die, UInt32(DW_AT_location), &attribute) != nil,
            dwarf_getlocation(&attribute, &operations, &count) == 0, let operations, count > 0
        else { return nil }
        switch Int(operations[0].atom) {
        case DW_OP_addr where count == 1: return Place(address: operations[0].number, isThreadLocal: false)
        case DW_OP_addrx where count == 1:
            var indexed = Dwarf_Attribute()
            var address: Dwarf_Addr = 0
            guard dwarf_getlocation_attr(&attribute, operations, &indexed) == 0,
                dwarf_formaddr(&indexed, &address) == 0
            else { return nil }
            return Place(address: address, isThreadLocal: false)
        case DW_OP_const8u, DW_OP_const4u:
            guard count == 2, [DW_OP_GNU_push_tls_address, DW_OP_form_tls_address].contains(Int(operations[1].atom))
            else { return nil }
            return Place(address: operations[0].number, isThreadLocal: true)
        default: return nil
        }
    }

    // MARK: Types

    private func type(of die: inout Dwarf_Die) -> Dwarf_Die? {
        var attribute = Dwarf_Attribute()
        var type = Dwarf_Die()
        guard dwarf_attr_integrate(&die, UInt32(DW_AT_type), &attribute) != nil,
            dwarf_formref_die(&attribute, &type) != nil
        else { return nil }
        return type
    }

    private func name(of type: inout Dwarf_Die, depth: Int = 0) -> String {
        if depth > 8 { return "…" }
        func inner() -> String {
            guard var target = self.type(of: &type) else { return "void" }
            return name(of: &target, depth: depth + 1)
        }
        switch Int(dwarf_tag(&type)) {
        // Rust's pointers have names.
        case DW_TAG_pointer_type where dwarf_diename(&type) == nil: return "\(inner()) *"
        case DW_TAG_reference_type, DW_TAG_rvalue_reference_type: return "\(inner()) &"
        case DW_TAG_const_type: return "const \(inner())"
        case DW_TAG_volatile_type, DW_TAG_atomic_type, DW_TAG_restrict_type: return inner()
        case DW_TAG_array_type: return "\(inner())[]"
        case DW_TAG_subroutine_type: return "function"
        default: return qualifiedName(of: &type)
        }
    }

    private func qualifiedName(of type: inout Dwarf_Die) -> String {
        guard let name = dwarf_diename(&type).map({ String(cString: $0) }) else { return "unnamed" }
        var scopes: UnsafeMutablePointer<Dwarf_Die>?
        let count = dwarf_getscopes_die(&type, &scopes)
        defer { free(scopes) }
        var parts = [name]
        for index in 1..<max(1, Int(count)) {
            guard let scopes else { break }
            switch Int(dwarf_tag(&scopes[index])) {
            case DW_TAG_namespace, DW_TAG_structure_type, DW_TAG_class_type:
                parts.append(dwarf_diename(&scopes[index]).map { String(cString: $0) } ?? "(anonymous namespace)")
            default: break
            }
        }
        let whole = parts.reversed().joined(separator: "::")
        return whole.utf8.count < 4096 ? (whole.contains("<") ? simplified(cxx: whole) : whole) : name
    }

    private func elementSize(ofSequence type: Dwarf_Die) -> UInt64? {
        var type = type
        var left = 8
        while [DW_TAG_typedef, DW_TAG_const_type].contains(Int(dwarf_tag(&type))), left > 0,
            let target = self.type(of: &type)
        {
            type = target
            left -= 1
        }
        // A vector of bool is packed.
        guard let name = dwarf_diename(&type).map({ String(cString: $0) }),
            name.hasPrefix("deque<") || name.hasPrefix("vector<") && !name.hasPrefix("vector<bool"),
            qualifiedName(of: &type).hasPrefix("std::")
        else { return nil }
        var child = Dwarf_Die()
        var found = dwarf_child(&type, &child)
        while found == 0, Int(dwarf_tag(&child)) != DW_TAG_template_type_parameter {
            var next = Dwarf_Die()
            found = dwarf_siblingof(&child, &next)
            child = next
        }
        var size: Dwarf_Word = 0
        guard found == 0, var element = self.type(of: &child), dwarf_aggregate_size(&element, &size) == 0, size > 0
        else { return nil }
        return size
    }
}
