import CElf
public import HeapProfile

extension Symbolicator {
    /// The variables of the module at `path` by address, from its file or its separate debug file; empty where neither
    /// tells. One pass over the symbol table, and one over the debug information for their types.
    public func variables(of path: String) -> [Variable] {
        let files = files(of: Module(path: path))
        var found = files.symbols?.variables() ?? []
        if let debug = files.debug {
            let types = VariableTypes(debug, of: Set(found.map(\.place))).declared
            for index in found.indices {
                let declared = types[found[index].place]
                found[index].type = declared?.type
                found[index].elementSize = declared?.elementSize
            }
        }
        return found.sorted { ($0.start, $1.size) < ($1.start, $0.size) }
    }
}

extension ElfFile {
    fileprivate func variables() -> [Variable] {
        var variables: [Variable] = []
        forEachSymbol { entry, name in
            let kind = Int32(entry.st_info & 15)
            guard kind == STT_OBJECT || kind == STT_TLS, entry.st_size > 0, entry.st_shndx != UInt16(SHN_UNDEF) else {
                return
            }
            variables.append(
                Variable(
                    start: entry.st_value, size: entry.st_size, name: String(cString: name),
                    isThreadLocal: kind == STT_TLS))
        }
        return variables
    }
}

extension Variable {
    fileprivate var place: VariableTypes.Place { .init(address: start, isThreadLocal: isThreadLocal) }
}

extension HeapSurvey {
    /// With the names that a reader knows variables and types by, and static types where symbols tell them, as Swift's
    /// do.
    public func demangled() -> HeapSurvey {
        var survey = self
        for index in survey.roots.indices where !survey.roots[index].name.isEmpty {
            survey.roots[index].type = staticType(ofSwift: survey.roots[index].name) ?? survey.roots[index].type
            survey.roots[index].name = demangle(survey.roots[index].name)
        }
        survey.types = types.map { $0.renamed(typeName) }
        for index in survey.leaks.indices {
            survey.leaks[index].type = typeName(survey.leaks[index].type)
            survey.leaks[index].way = survey.leaks[index].way.map(typeName)
        }
        for index in (texts?.largest ?? []).indices {
            survey.texts?.largest[index].owner = typeName(texts?.largest[index].owner ?? "")
        }
        for index in survey.objects.indices { survey.objects[index].type = typeName(survey.objects[index].type) }
        for index in survey.collections.indices {
            survey.collections[index].type = survey.collections[index].type.map(typeName)
            survey.collections[index].owner = survey.collections[index].owner.map(typeName)
        }
        return survey
    }
}

/// C++ types are known by the symbol of their name's text.
private func typeName(_ name: String) -> String {
    let readable = demangle(name)
    let prefix = "typeinfo name for "
    return readable.hasPrefix(prefix) ? String(readable.dropFirst(prefix.count)) : readable
}
