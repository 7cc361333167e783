import CElf
import Glibc

/// One ELF executable, shared object or debug file, open for reading.
///
/// The file is mapped: a large one costs pages of the page cache, not memory of this process. The price is that a file
/// cut short by somebody else during the lookup raises SIGBUS; package managers and linkers replace files instead.
final class ElfFile {
    let path: String
    let elf: OpaquePointer
    /// Lower-case hexadecimal, empty where the file has none.
    let buildID: String
    private let descriptor: Int32

    init(path: String) throws(SymbolicationError) {
        // A path of the process may name a pipe or a device: opening it must not wait.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw SymbolicationError(.unreadable, path: path, reason: String(cString: strerror(errno)))
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw SymbolicationError(.notELF, path: path, reason: "not a regular file")
        }
        elf_version(UInt32(EV_CURRENT))
        guard let elf = elf_begin(descriptor, ELF_C_READ_MMAP, nil) else {
            close(descriptor)
            throw SymbolicationError(.notELF, path: path, reason: String(cString: elf_errmsg(-1)))
        }
        var header = GElf_Ehdr()
        guard elf_kind(elf) == ELF_K_ELF, gelf_getehdr(elf, &header) != nil,
            header.e_type == ET_EXEC || header.e_type == ET_DYN
        else {
            elf_end(elf)
            close(descriptor)
            throw SymbolicationError(.notELF, path: path, reason: "not an ELF executable or shared object")
        }
        self.path = path
        self.descriptor = descriptor
        self.elf = elf
        self.buildID = Self.buildID(of: elf)
    }

    deinit {
        elf_end(elf)
        close(descriptor)
    }

    private static func buildID(of elf: OpaquePointer) -> String {
        var bytes: UnsafeRawPointer?
        let length = dwelf_elf_gnu_build_id(elf, &bytes)
        guard length > 0, let bytes else { return "" }
        return UnsafeRawBufferPointer(start: bytes, count: length).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    /// File name and CRC-32 of the separate debug file, as `.gnu_debuglink` records them.
    var debugLink: (name: String, checksum: UInt32)? {
        var checksum: GElf_Word = 0
        guard let name = dwelf_elf_gnu_debuglink(elf, &checksum) else { return nil }
        return (String(cString: name), checksum)
    }

    /// CRC-32 of the whole file (polynomial 0xEDB88320), which `.gnu_debuglink` of its stripped twin records.
    var checksum: UInt32 {
        var size = 0
        guard let start = elf_rawfile(elf, &size) else { return 0 }
        return crc32(UnsafeRawBufferPointer(start: start, count: size))
    }

    var hasDebugInformation: Bool {
        var found = false
        forEachSection { section, header in
            guard header.sh_type != UInt32(SHT_NOBITS), let name = sectionName(header) else { return }
            if name == ".debug_info" || name == ".zdebug_info" { found = true }
        }
        return found
    }

    var hasFullSymbolTable: Bool { section(type: SHT_SYMTAB) != nil }

    /// `.symtab`, and `.dynsym` only where there is none.
    var symbolTable: (section: OpaquePointer, header: GElf_Shdr)? {
        section(type: SHT_SYMTAB) ?? section(type: SHT_DYNSYM)
    }

    private func section(type: Int32) -> (section: OpaquePointer, header: GElf_Shdr)? {
        var found: (section: OpaquePointer, header: GElf_Shdr)?
        forEachSection { section, header in
            if found == nil, header.sh_type == UInt32(type) { found = (section, header) }
        }
        return found
    }

    func forEachSection(_ body: (OpaquePointer, GElf_Shdr) -> Void) {
        var section = elf_nextscn(elf, nil)
        while let current = section {
            var header = GElf_Shdr()
            if gelf_getshdr(current, &header) != nil { body(current, header) }
            section = elf_nextscn(elf, current)
        }
    }

    private func sectionName(_ header: GElf_Shdr) -> String? {
        var index = 0
        guard elf_getshdrstrndx(elf, &index) == 0, let name = elf_strptr(elf, index, Int(header.sh_name)) else {
            return nil
        }
        return String(cString: name)
    }
}

private let crcTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
}

func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    ~crcTable.withUnsafeBufferPointer { table in
        bytes.reduce(UInt32.max) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
    }
}
