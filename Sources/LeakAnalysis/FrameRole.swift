public import HeapProfile

/// What part a function plays in an allocation: who decided to allocate, and who merely carried it out.
///
/// Only `application` frames can be suspects; all others are folded away in front of them.
public enum FrameRole: String, Sendable, Codable, CaseIterable {
    /// The program's own code, and every library that no rule knows.
    case application
    /// Hands out memory on somebody's behalf: malloc, operator new, and wrappers such as `zmalloc`.
    case allocator
    /// The language's, the C library's and the scheduler's machinery.
    case runtime
    /// A collection of the standard library.
    case container
    /// Makes a value of its type; whoever asked for the value is the one to look at.
    case constructor
}

extension FrameRole {
    /// The role of one resolved frame, by the first rule of the table that matches.
    public init(of frame: Frame) {
        let name = frame.function.map(FunctionName.init)
        self = Self.rules.first { $0.matches(name, frame) }?.role ?? .application
    }

    init(function: String?, module: String) { self.init(of: Frame(function: function, module: module)) }

    /// The one table of what is whose. The order matters: a function tells more than the module it stands in, since
    /// templates and generics are compiled into the program that uses them.
    private static let rules: [Rule] = [
        Rule(.allocator, functions: allocators),
        Rule(.allocator, modules: ["libheaptide-probe", "libjemalloc", "libtcmalloc", "libmimalloc"]),
        Rule(.runtime, functions: runtimes),
        Rule(.allocator, rustImplementationsOf: ["alloc::alloc::"]),
        Rule(.container, functions: containers),
        Rule(.container, rustImplementationsOf: ["alloc::", "core::", "std::", "hashbrown::"]),
        // Inlined functions of a library may have lost the names around their own.
        Rule(.container) { _, frame in frame.file?.isOfALibrary ?? false },
        Rule(.allocator) { name, _ in name?.isAllocatorByItsWords ?? false },
        Rule(.container, modules: ["libstdc++", "libc++"]),
        Rule(.runtime, modules: runtimeModules),
        Rule(.constructor) { name, _ in name?.isConstructor ?? false },
    ]

    private static let allocators = [
        "operator new", "swift_alloc", "swift_slowAlloc", "swift_bufferAllocate", "swift_initStackObject",
        "__rust_alloc", "__rust_realloc", "__rdl_", "__rg_", "alloc::alloc::", "std::allocator<",
        "std::allocator_traits<",
        "std::__new_allocator<", "__gnu_cxx::new_allocator<", "std::__allocate_guarded", "je_", "tc_", "mi_",
        "g_malloc",
        "g_realloc", "g_slice_", "g_strdup", "PyMem_", "_PyMem_", "PyObject_Malloc", "PyObject_Realloc",
        "PyObject_Calloc", "_PyObject_Malloc", "sqlite3Malloc", "sqlite3Realloc", "sqlite3DbMalloc", "sqlite3DbRealloc",
        "posix_memalign", "aligned_alloc", "memalign", "strdup", "strndup", "asprintf", "vasprintf",
    ]

    private static let runtimes = [
        "std::rt::", "std::sys::", "std::thread::", "std::panicking::", "std::this_thread::", "swift_", "swift::",
        "_dispatch_", "dispatch_", "_Concurrency.", "Dispatch.", "__libc_start", "_dl_", "dl_", "start_thread",
        "Foundation.", "FoundationEssentials.", "__rust_begin_short_backtrace",
    ]

    private static let containers = [
        "std::", "__gnu_cxx::", "Swift.", "Synchronization.", "alloc::", "hashbrown::", "core::",
        "_$LT$alloc::", "_$LT$core::", "_$LT$hashbrown::",
    ]

    private static let runtimeModules = [
        "libc.so", "libc-2", "ld-linux", "ld-musl", "ld-2", "libpthread", "libgcc_s", "libunwind", "libswift",
        "libdispatch", "libBlocksRuntime", "libFoundation", "lib_Foundation", "[vdso]",
    ]
}

/// One line of the table of roles.
private struct Rule: Sendable {
    var role: FrameRole
    var matches: @Sendable (FunctionName?, Frame) -> Bool

    init(_ role: FrameRole, matches: @escaping @Sendable (FunctionName?, Frame) -> Bool) {
        self.role = role
        self.matches = matches
    }

    /// Functions whose qualified name begins with one of these.
    init(_ role: FrameRole, functions prefixes: [String]) {
        self.init(role) { name, _ in
            guard let name else { return false }
            return prefixes.contains { name.qualified.hasPrefix($0) }
        }
    }

    /// Modules whose file name begins with one of these.
    init(_ role: FrameRole, modules prefixes: [String]) {
        self.init(role) { _, frame in prefixes.contains { frame.module.hasPrefix($0) } }
    }

    /// `<TYPE>::function` and `<TYPE as Trait>::function` of types whose name begins with one of these.
    init(_ role: FrameRole, rustImplementationsOf prefixes: [String]) {
        self.init(role) { name, _ in
            guard let name, name.owner.hasPrefix("<") else { return false }
            return prefixes.contains { name.owner.dropFirst().hasPrefix($0) }
        }
    }
}

extension String {
    /// Path of a source of Rust's library, of libstdc++ (/usr/include/c++/12/bits) or of libc++ (include/c++/v1).
    fileprivate var isOfALibrary: Bool {
        hasPrefix("/rustc/") && contains("/library/") || contains("/include/c++/")
    }
}
