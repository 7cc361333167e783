/// Who holds the heap of a process, and what it is made of: what a heap dump tells, without the heap's contents.
///
/// Names are as symbol tables and type information spell them until somebody demangles them.
public struct HeapSurvey: Sendable, Equatable, Codable {
    /// Blocks in use, and their usable bytes.
    public var blockCount: UInt64
    public var bytes: UInt64
    /// Of these, held by several roots together and by none alone.
    public var sharedBytes: UInt64
    /// Seconds for which the process stood still.
    public var pause: Double
    /// Largest first; at most 1,000 of each.
    public var roots: [Root]
    public var types: [TypeCount]
    public var leaks: [Leak]
    /// Whose hands the blocks of each allocation site are in, where a profile was taken at the same time.
    public var holdings: [Holding]
    /// What could not be checked or did not agree, one line each.
    public var doubts: [String]

    public init(
        blockCount: UInt64, bytes: UInt64, sharedBytes: UInt64 = 0, pause: Double = 0, roots: [Root] = [],
        types: [TypeCount] = [], leaks: [Leak] = [], holdings: [Holding] = [],
        doubts: [String] = []
    ) {
        self.blockCount = blockCount
        self.bytes = bytes
        self.sharedBytes = sharedBytes
        self.pause = pause
        self.roots = roots
        self.types = types
        self.leaks = leaks
        self.holdings = holdings
        self.doubts = doubts
    }

    /// A place outside of the heap that points into it.
    public struct Root: Sendable, Equatable, Codable {
        public enum Kind: String, Sendable, Codable {
            case global, threadLocal, stack, register
            /// Memory that the program or the loader mapped for itself.
            case mapping
        }

        public var kind: Kind
        /// The variable; empty where no symbol tells.
        public var name: String
        /// Its static type, where the symbol tells.
        public var type: String?
        /// Path of the module that it is in; empty for stacks and registers.
        public var module: String
        /// Kernel thread id, of what belongs to a thread.
        public var thread: Int32?
        /// What would be freed if this root alone let go.
        public var retainedBytes: UInt64
        public var retainedCount: UInt64
        /// The collection that it is or holds.
        public var container: Container?

        public init(
            kind: Kind, name: String, type: String? = nil, module: String = "", thread: Int32? = nil,
            retainedBytes: UInt64, retainedCount: UInt64, container: Container? = nil
        ) {
            self.kind = kind
            self.name = name
            self.type = type
            self.module = module
            self.thread = thread
            self.retainedBytes = retainedBytes
            self.retainedCount = retainedCount
            self.container = container
        }
    }

    /// A collection whose structure was checked.
    public struct Container: Sendable, Equatable, Codable {
        /// `Dictionary`, `std::unordered_map`, …
        public var kind: String
        public var count: UInt64
        /// Elements that it has room for, where it has a limit.
        public var capacity: UInt64?

        public init(kind: String, count: UInt64, capacity: UInt64? = nil) {
            self.kind = kind
            self.count = count
            self.capacity = capacity
        }
    }

    /// All blocks of one type.
    public struct TypeCount: Sendable, Equatable, Codable {
        public var name: String
        public var count: UInt64
        public var shallowBytes: UInt64
        /// What they hold alone, those behind others of the same type counted once.
        public var retainedBytes: UInt64

        public init(name: String, count: UInt64, shallowBytes: UInt64, retainedBytes: UInt64) {
            self.name = name
            self.count = count
            self.shallowBytes = shallowBytes
            self.retainedBytes = retainedBytes
        }
    }

    /// Blocks that nothing leads to, by the type of those that lead to the others.
    public struct Leak: Sendable, Equatable, Codable {
        public var type: String
        /// Blocks of this type that nothing leads to, or that lead to themselves; and with all that they alone lead to.
        public var heads: UInt64
        public var bytes: UInt64
        public var count: UInt64
        /// They hold each other.
        public var isCycle: Bool

        public init(type: String, heads: UInt64 = 1, bytes: UInt64, count: UInt64, isCycle: Bool) {
            self.type = type
            self.heads = heads
            self.bytes = bytes
            self.count = count
            self.isCycle = isCycle
        }
    }

    /// Of what one allocation site's live samples stand for, the part that is in one hand.
    public struct Holding: Sendable, Equatable, Codable {
        public enum Holder: Sendable, Hashable, Codable {
            /// Index into `HeapSurvey.roots`.
            case root(Int)
            /// Several roots together, or one that is not in the list.
            case others
            /// No pointer leads to it.
            case nothing
        }

        /// Index into `HeapProfile.sites`.
        public var site: Int
        public var holder: Holder
        /// Unbiased estimate.
        public var bytes: Double

        public init(site: Int, holder: Holder, bytes: Double) {
            self.site = site
            self.holder = holder
            self.bytes = bytes
        }
    }
}
