import RemoteProcess

/// What code a frame is in, as far as it matters to whether its thread may be interrupted.
enum CodeRole: Equatable {
    /// The dynamic linker: it may hold its lock, and its lists may be half changed.
    case loader
    /// A library that brings the allocator, libc's apart.
    case allocator
    case probe
    case libc
    case other
}

/// The modules of a process, by role.
struct CodeRoles {
    /// Where a handled signal returns to: its frame shows that a handler runs.
    let signalReturn: UInt64
    /// libc's functions that allocate or free.
    private let libcAllocator: [Range<UInt64>]
    private let map: MemoryMap
    private let allocators: Set<String>
    /// The program itself brings the allocator: where in its code that is, is not to be told.
    let isAllocatorInProgram: Bool

    init(_ map: MemoryMap, _ images: [RemoteImage], program: String, libc: RemoteImage, signalReturn: UInt64) {
        self.map = map
        self.signalReturn = signalReturn
        let others = images.filter { (image: RemoteImage) in
            roleOfFile(fileName(image.path)) == .other && image.symbol("malloc") != nil && image.symbol("free") != nil
        }
        allocators = Set(others.map(\.path)).subtracting([program])
        isAllocatorInProgram = others.contains { $0.path == program }
        libcAllocator = [
            "malloc", "calloc", "realloc", "reallocarray", "free", "memalign", "posix_memalign", "aligned_alloc",
            "valloc", "pvalloc", "malloc_trim", "mallinfo", "mallinfo2", "malloc_info", "malloc_stats", "mallopt",
            "fork", "_Fork", "dl_iterate_phdr", "dlopen", "dlclose", "dlsym", "dlmopen", "dladdr", "dladdr1", "dlinfo",
        ].compactMap { libc.range(of: $0) }
    }

    func role(at address: UInt64) -> CodeRole {
        guard let mapping = map.mapping(at: address), mapping.isFile else { return .other }
        if allocators.contains(mapping.path) { return .allocator }
        return roleOfFile(fileName(mapping.path))
    }

    func isLibcAllocator(_ address: UInt64) -> Bool { libcAllocator.contains { $0.contains(address) } }
    func isMapped(_ address: UInt64) -> Bool { map.mapping(at: address)?.isExecutable == true }
}

func roleOfFile(_ name: Substring) -> CodeRole {
    if name.hasPrefix("ld-linux") || name.hasPrefix("ld-2.") { return .loader }
    if isProbe(String(name)) { return .probe }
    let libraries = ["libc.so.6", "libc-2.", "libpthread", "libdl.so.2", "libdl-2."]
    return libraries.contains { name.hasPrefix($0) } ? .libc : .other
}
