import HeapProfile

/// Where the files that describe a module are found: its own path, `DIR/.build-id/ab/cdef….debug`, and the places of
/// `.gnu_debuglink`. See "Debugging Information in Separate Files" in GDB's manual.
struct DebugFiles {
    var directories: [String]
    /// Put before every path; empty for this machine's own files.
    var sysroot: String

    /// What was found for one module.
    struct Found {
        /// Has the symbol table.
        var symbols: ElfFile?
        /// Has DWARF.
        var debug: ElfFile?
        /// Why nothing was found.
        var problem: String?
    }

    /// [vdso] and its kind have no file: nothing is found, and that is no problem.
    func files(of module: Module) -> Found {
        if module.path.isEmpty || module.path.hasPrefix("[") || module.path.hasPrefix("linux-vdso") { return Found() }
        var image: ElfFile?
        var problem: String?
        do {
            image = try self.image(of: module)
        } catch {
            problem = "\(error): left unresolved"
        }
        if let image, image.hasDebugInformation { return Found(symbols: image, debug: image) }
        // A replaced module still resolves where the debug file of what really ran is at hand.
        let debug =
            file(buildID: module.buildID.isEmpty ? image?.buildID ?? "" : module.buildID)
            ?? image.flatMap { file(linkedBy: $0, at: module.path) }
        guard let file = debug ?? image else { return Found(problem: problem) }
        return Found(
            symbols: file.hasFullSymbolTable ? file : image ?? file,
            debug: debug?.hasDebugInformation == true ? debug : nil)
    }

    private func image(of module: Module) throws(SymbolicationError) -> ElfFile {
        // A path relative to the process's working folder means something else to us.
        guard module.path.hasPrefix("/") else {
            throw SymbolicationError(.unreadable, path: module.path, reason: "not an absolute path")
        }
        let image = try ElfFile(path: sysroot + module.path)
        guard module.buildID.isEmpty || image.buildID == module.buildID else {
            let found = image.buildID.isEmpty ? "no build ID" : "build ID \(image.buildID)"
            throw SymbolicationError(
                .replaced, path: module.path, reason: "file on disk has \(found), the process ran \(module.buildID)")
        }
        return image
    }

    /// The debug file of the module with this build ID. It must carry the same ID itself.
    private func file(buildID: String) -> ElfFile? {
        // It comes from a recording and becomes part of a path.
        guard buildID.utf8.count > 2, buildID.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
        for directory in directories {
            let path = "\(sysroot)\(directory)/.build-id/\(buildID.prefix(2))/\(buildID.dropFirst(2)).debug"
            if let file = try? ElfFile(path: path), file.buildID == buildID { return file }
        }
        return nil
    }

    /// The debug file that `image`, found at `path` (without sysroot), names. It must carry the image's build ID or,
    /// where either has none, have the checksum that the image records.
    private func file(linkedBy image: ElfFile, at path: String) -> ElfFile? {
        guard let link = image.debugLink, !link.name.isEmpty, !link.name.contains("/") else { return nil }
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let folders = [folder, folder + "/.debug"] + directories.map { $0 + folder }
        for candidate in folders.map({ "\(sysroot)\($0)/\(link.name)" }) where candidate != image.path {
            guard let file = try? ElfFile(path: candidate) else { continue }
            let bothHaveIDs = !image.buildID.isEmpty && !file.buildID.isEmpty
            if bothHaveIDs ? file.buildID == image.buildID : file.checksum == link.checksum { return file }
        }
        return nil
    }
}
