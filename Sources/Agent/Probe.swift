import CLinux
import Glibc
import RemoteProcess

/// The library that records: where it is, and whether a program will take it.
package enum Probe {
    static let fileName = "libheaptide-probe.so"

    /// `given`, or the file beside the heaptide executable; nil where there is none.
    static func locate(_ given: String?) -> String? {
        if let given { return access(given, R_OK) == 0 ? absolute(given) : nil }
        guard let own = linkTarget("/proc/self/exe"), let slash = own.lastIndex(of: "/") else { return nil }
        let beside = String(own[...slash]) + fileName
        return access(beside, R_OK) == 0 ? beside : nil
    }

    /// Why the dynamic loader will not take the probe into `program`; nil where nothing speaks against it.
    package static func obstacle(in program: String) -> String? { obstacle(in: program, depth: 0) }

    /// What to do about a running process that has no ledger where one was looked for.
    static func remedy(for pid: Int32) -> String {
        obstacle(in: "/proc/\(pid)/exe").map { "it cannot take the probe, \($0)" }
            ?? "start it by `heaptide run`, attach the probe by `heaptide attach \(pid)`, or name the folder with --ledgers"
    }

    private static func obstacle(in program: String, depth: Int) -> String? {
        guard let head = readBytes(program, limit: 4096) else { return nil }  // executable, yet not readable: try
        if head.starts(with: Array("#!".utf8)) { return depth < 4 ? script(head, depth: depth) : nil }
        if isPrivileged(program) { return "it runs with other rights than its caller (setuid, setgid or capabilities)" }
        guard let elf = ElfHead(head) else { return "it is no ELF program" }
        guard elf.isOwnMachine else { return "it was built for another machine type" }
        guard let interpreter = elf.interpreter(program) else { return "it is linked statically" }
        // Another C library would refuse a library built for glibc, and the program with it.
        guard interpreter.contains("/ld-linux") else { return "its C library is not glibc (\(interpreter))" }
        return sanitizer(in: program)
    }

    /// AddressSanitizer ends a program in which another library comes before it; ThreadSanitizer does not survive that a
    /// thread calls anything after its own end. Both replace the allocator.
    private static func sanitizer(in program: String) -> String? {
        let names = ["Address": "asan", "HWAddress": "hwasan", "Memory": "msan", "Thread": "tsan"]
        let symbols = names.map { (name: $0.key, text: Array("__\($0.value)_init\0".utf8)) }
        guard let bytes = readBytes(program) else { return nil }
        // A symbol's name begins after the NUL that ends the one before.
        for index in bytes.indices.dropFirst() where bytes[index] == 0x5f && bytes[index - 1] == 0 {
            if let symbol = symbols.first(where: { bytes[index...].starts(with: $0.text) }) {
                return "it was built with \(symbol.name)Sanitizer"
            }
        }
        return nil
    }

    /// Why LD_PRELOAD cannot bring in the library `probe`; nil where nothing speaks against it.
    package static func obstacle(inPath probe: String) -> String? {
        guard !probe.contains(where: { " :\t\n$".contains($0) }) else {
            return "LD_PRELOAD cannot name a path with a space, a colon or a dollar sign: give --probe a copy elsewhere"
        }
        // As attaching does: another library would be taken, and record nothing.
        guard isProbe(probe), let head = readBytes(probe, limit: 4096), ElfHead(head)?.isOwnMachine == true else {
            return "it is no heaptide probe for this machine: name a libheaptide-probe.so with --probe"
        }
        return nil
    }

    /// `#!/usr/bin/env python3` runs two programs: both must take the probe.
    private static func script(_ head: [UInt8], depth: Int) -> String? {
        let line = head.dropFirst(2).prefix { $0 != 10 }
        let words = String(decoding: line, as: UTF8.self).split { $0 == " " || $0 == "\t" }.map(String.init)
        guard let interpreter = words.first else { return nil }
        if let found = obstacle(in: interpreter, depth: depth + 1) { return "its interpreter \(interpreter): \(found)" }
        let isName = { (word: String) in !word.hasPrefix("-") && !word.contains("=") }  // no option, no assignment
        guard interpreter.hasSuffix("/env"), let name = words.dropFirst().first(where: isName),
            let path = findExecutable(name), let found = obstacle(in: path, depth: depth + 1)
        else { return nil }
        return "its interpreter \(path): \(found)"
    }

    private static func isPrivileged(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        if status.st_mode & S_ISUID != 0, status.st_uid != getuid() { return true }
        if status.st_mode & S_ISGID != 0, status.st_gid != getgid() { return true }
        return getuid() != 0 && clinux_has_file_capabilities(path) == 1
    }
}

/// The first bytes of an ELF64 little-endian file (System V gABI, "ELF header" and "program header").
private struct ElfHead {
    private let bytes: [UInt8]

    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { return nil }
        self.bytes = bytes
    }

    /// 64 bits, little endian, and the machine type this very program was compiled for.
    var isOwnMachine: Bool {
        #if arch(x86_64)
            let own: UInt64 = 62
        #elseif arch(arm64)
            let own: UInt64 = 183
        #else
            let own: UInt64 = 0
        #endif
        return bytes[4] == 2 && bytes[5] == 1 && number(bytes, at: 18, size: 2) == own
    }

    /// Path in PT_INTERP; nil for a statically linked program.
    func interpreter(_ path: String) -> String? {
        guard let table = number(bytes, at: 32, size: 8), let size = number(bytes, at: 54, size: 2),
            let count = number(bytes, at: 56, size: 2), size >= 56, table < 1 << 20
        else { return nil }
        let all = readBytes(path) ?? bytes
        for index in 0..<min(count, 128) {
            let header = Int(table + index * size)
            guard number(all, at: header, size: 4) == 3 else { continue }
            guard let offset = number(all, at: header + 8, size: 8), let length = number(all, at: header + 32, size: 8),
                offset < UInt64(all.count), length <= 4096
            else { return nil }
            return String(decoding: all[Int(offset)...].prefix(Int(length)).prefix { $0 != 0 }, as: UTF8.self)
        }
        return nil
    }

    private func number(_ bytes: [UInt8], at offset: Int, size: Int) -> UInt64? {
        guard offset >= 0, offset <= bytes.count - size else { return nil }
        return bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Where PATH finds `name`; the name itself where it has a slash. Nil where nothing executable is there.
func findExecutable(_ name: String) -> String? {
    guard !name.contains("/") else { return isExecutable(name) ? name : nil }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
    for folder in path.split(separator: ":", omittingEmptySubsequences: false) {
        let candidate = "\(folder.isEmpty ? "." : folder)/\(name)"
        if isExecutable(candidate) { return candidate }
    }
    return nil
}

private func isExecutable(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
}

func linkTarget(_ path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { base in readlink(path, base, 4096) } ?? -1 }
    }
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
}

func absolute(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}
