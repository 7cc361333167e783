public import HeapProfile

/// Turns code addresses into functions, files and lines, from the files that the process ran.
///
/// Names come from DWARF, with the calls inlined at the address, else from the symbol table. Nothing is kept between
/// two calls, and one module is open at a time. Cost: one pass over the symbol table and over the compilation units
/// that cover an address, about 0.5 s for 500 addresses all over a Swift program of 70 MB. Memory: the files are mapped;
/// what libdw decodes of 16 units at a time comes on top, some 13 MB there, more than the agent may take.
public struct Symbolicator: Sendable {
    /// One line for each module that gave less than it should, and why.
    public private(set) var notes: [String] = []
    private let debugFiles: DebugFiles

    /// - Parameters:
    ///   - debugDirectories: folders that hold `.build-id/` and a copy of the system's tree.
    ///   - sysroot: put before every path, for a process that saw another root; no slash at its end.
    public init(debugDirectories: [String] = ["/usr/lib/debug"], sysroot: String = "") {
        debugFiles = DebugFiles(directories: debugDirectories, sysroot: sysroot)
    }

    /// Looks up return addresses: the instruction before each is the call.
    ///
    /// The table leaves out addresses of no module or of [vdso], of a file whose build ID is not the recorded one (an
    /// empty recorded ID is nothing to compare with), and those that no function covers. Never fails: see `notes`.
    public mutating func resolve(_ addresses: some Sequence<CodeAddress>, in modules: [Module]) -> SymbolTable {
        var table = SymbolTable()
        for (index, group) in Dictionary(grouping: Set(addresses), by: \.module).sorted(by: { $0.key < $1.key })
        where modules.indices.contains(Int(index)) {
            table.frames.merge(resolve(group, of: modules[Int(index)])) { first, _ in first }
        }
        return table
    }

    private mutating func resolve(_ addresses: [CodeAddress], of module: Module) -> [CodeAddress: [Frame]] {
        let files = debugFiles.files(of: module)
        if let problem = files.problem { note(problem) }
        // A call that never returns may be its function's last instruction: the return address is in the next one.
        let lookups = Lookups(addresses.map { $0.offset &- 1 })
        let symbols = files.symbols?.symbols(for: lookups)
        var locations: [SourceLocation?]?
        if let file = files.debug {
            locations = DebugInformation(file: file).locations(of: lookups)
            if locations == nil { note("\(file.path): its debug information cannot be read: no lines") }
        }
        var resolved: [CodeAddress: [Frame]] = [:]
        for address in addresses {
            let index = lookups.firstIndex(from: address.offset &- 1)
            let found = frames(at: address, in: module, symbol: symbols?[index], location: locations?[index])
            if !found.isEmpty { resolved[address] = found }
        }
        if let image = files.symbols, files.debug == nil, !image.hasFullSymbolTable, resolved.count < addresses.count {
            note(
                "\(module.path): stripped, and no debug file found: \(addresses.count - resolved.count) of "
                    + "\(addresses.count) addresses have no name")
        }
        return resolved
    }

    /// The files with the module's symbol table and with its debug information.
    func files(of module: Module) -> (symbols: ElfFile?, debug: ElfFile?) {
        let files = debugFiles.files(of: module)
        return (files.symbols, files.debug)
    }

    /// Innermost first.
    private func frames(at address: CodeAddress, in module: Module, symbol: String?, location: SourceLocation?)
        -> [Frame]
    {
        var scopes = location?.scopes ?? []
        if scopes.isEmpty {
            guard symbol != nil || location?.position != nil else { return [] }
            scopes = [SourceLocation.Scope()]
        }
        return scopes.indices.reversed().map { depth in
            let isInlined = depth > 0
            // Each scope stands at the place where it calls the next one in.
            let position = depth + 1 < scopes.count ? scopes[depth + 1].call : location?.position
            // swiftc at times gives a line of the source but not its file: only with one does it mean anything.
            let file = position?.file ?? scopes[depth].file
            return Frame(
                function: scopes[depth].readableName(symbol: isInlined ? nil : symbol), module: module.fileName,
                file: file, line: file == nil ? nil : position?.line, isInlined: isInlined, offset: address.offset)
        }
    }

    private mutating func note(_ text: String) {
        if !notes.contains(text) { notes.append(text) }
    }
}

extension SourceLocation.Scope {
    /// A mangled name tells what the function is a member of; DWARF's plain name does not. Of unmangled ones the one
    /// that a programmer would write: DWARF calls glibc's malloc "__libc_malloc", its linkage name "__GI___libc_malloc".
    func readableName(symbol: String?) -> String? {
        for mangled in [linkageName, symbol].compactMap({ $0 }) {
            let plain = demangle(mangled)
            if plain != mangled { return plain }
        }
        guard let name = name ?? linkageName, let symbol else { return name ?? linkageName ?? symbol }
        return symbol.prefix { $0 == "_" }.count < name.prefix { $0 == "_" }.count ? symbol : name
    }
}

extension Module {
    var fileName: String { path.split(separator: "/").last.map(String.init) ?? path }
}
