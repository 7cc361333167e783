/// Who holds the heap of a process, and what it is made of: what a heap dump tells, without the heap's contents but for
/// what `Texts.Copies.start` quotes where that was asked for.
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
    /// How it was kept from changing.
    public var method: Method
    /// Largest first; at most 1,000 of each.
    public var roots: [Root]
    public var types: [TypeCount]
    public var leaks: [Leak]
    public var collections: [Collection]
    /// The upper part of the tree of who holds whom alone, at most `Object.deepest` steps from a root.
    public var objects: [Object]
    /// Nil where there are none.
    public var texts: Texts?
    /// Whose hands the blocks of each allocation site are in, where a profile was taken at the same time.
    public var holdings: [Holding]
    /// What could not be checked or did not agree, one line each.
    public var doubts: [String]

    public init(
        blockCount: UInt64, bytes: UInt64, sharedBytes: UInt64 = 0, pause: Double = 0, method: Method = .stop,
        roots: [Root] = [],
        types: [TypeCount] = [], leaks: [Leak] = [], collections: [Collection] = [], objects: [Object] = [],
        texts: Texts? = nil, holdings: [Holding] = [], doubts: [String] = []
    ) {
        self.blockCount = blockCount
        self.bytes = bytes
        self.sharedBytes = sharedBytes
        self.pause = pause
        self.method = method
        self.roots = roots
        self.types = types
        self.leaks = leaks
        self.collections = collections
        self.objects = objects
        self.texts = texts
        self.holdings = holdings
        self.doubts = doubts
    }

    public enum Method: String, Sendable, Codable {
        /// A copy of the process was read, or one of its memory; or it stood still until all was read.
        case fork, copy, stop
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
        /// Of one whose elements' size nothing tells; it is counted in bytes.
        public static let vectorOfBytes = "std::vector or buffer"
        public static let dequeOfBytes = "std::deque, in bytes"
        public var isInBytes: Bool { Self.isInBytes(kind) }
        /// Nil where they are counted in bytes.
        public var entries: UInt64? { isInBytes ? nil : count }
        public static func isInBytes(_ kind: String) -> Bool { kind == vectorOfBytes || kind == dequeOfBytes }
        public var count: UInt64
        /// Elements that it has room for, where it has a limit.
        public var capacity: UInt64?

        public init(kind: String, count: UInt64, capacity: UInt64? = nil) {
            self.kind = kind
            self.count = count
            self.capacity = capacity
        }
    }

    /// A collection wherever it is: a variable, a part of one, or a part of an object. All of one kind that are the same part
    /// of objects of one type and in the same hands, such as the arrays in a dictionary, are one entry.
    public struct Collection: Sendable, Equatable, Codable {
        /// How many of them there are.
        public var instances: UInt64
        /// Of all instances together.
        public var container: Container
        /// Of a vector of C++ or a deque of libstdc++; nil for others, and where it is not known: then `container.isInBytes`.
        public var elementSize: UInt64?
        /// Of its storage, where that tells its elements' types.
        public var type: String?
        /// Type of the object that it is a part of; nil where it is a variable's.
        public var owner: String?
        /// Of the part of that object, in bytes; nil of an element of another collection as well.
        public var offset: UInt64?
        /// Index into `HeapSurvey.roots` of the one that holds it alone; nil: several do, or it is not in the list.
        public var root: Int?
        public var retainedBytes: UInt64
        public var retainedCount: UInt64
        /// Room in blocks of its own that no element takes.
        public var unusedBytes: UInt64
        /// Where the process keeps it: address of the object, or of the pointer to a storage; of several instances, of some that
        /// were picked evenly.
        public var addresses: [UInt64]
        public static let mostAddresses = 64
        /// Entries at these addresses.
        public var sampledCount: UInt64

        /// Of what it retains, without the room that is not in use; 0 of an empty one.
        public var bytesPerEntry: Double {
            let used = retainedBytes - min(unusedBytes, retainedBytes)
            return container.count > 0 ? Double(used) / Double(container.count) : 0
        }

        public init(
            instances: UInt64 = 1, container: Container, elementSize: UInt64? = nil, type: String? = nil,
            owner: String? = nil, offset: UInt64? = nil, root: Int? = nil,
            retainedBytes: UInt64, retainedCount: UInt64, unusedBytes: UInt64 = 0, addresses: [UInt64],
            sampledCount: UInt64 = 0
        ) {
            self.instances = instances
            self.container = container
            self.elementSize = elementSize
            self.type = type
            self.owner = owner
            self.offset = offset
            self.root = root
            self.retainedBytes = retainedBytes
            self.retainedCount = retainedCount
            self.unusedBytes = unusedBytes
            self.addresses = addresses
            self.sampledCount = sampledCount
        }
    }

    /// A block and what would be freed if it went.
    public struct Object: Sendable, Equatable, Codable {
        /// Steps from a root, beyond which objects are left out: a list is as deep as it is long.
        public static let deepest = 32

        public enum Holder: Sendable, Hashable, Codable {
            /// Index into `HeapSurvey.roots`.
            case root(Int)
            /// Index into `HeapSurvey.objects`, smaller than the object's own.
            case object(Int)
            /// Several roots together, or one that is not in the list.
            case others

            public var root: Int? { if case .root(let index) = self { index } else { nil } }
            public var object: Int? { if case .object(let index) = self { index } else { nil } }
        }

        public var address: UInt64
        public var type: String
        public var bytes: UInt64
        public var retainedBytes: UInt64
        public var retainedCount: UInt64
        public var holder: Holder
        /// Of one that several roots hold together: the largest of them, indices into `HeapSurvey.roots`, and how many there
        /// are; 0 where that was not looked for.
        public var owners: [Int]
        public var ownerCount: Int
        public static let mostOwners = 8

        public init(
            address: UInt64, type: String, bytes: UInt64, retainedBytes: UInt64, retainedCount: UInt64,
            holder: Holder = .others, owners: [Int] = [], ownerCount: Int = 0
        ) {
            self.address = address
            self.type = type
            self.bytes = bytes
            self.retainedBytes = retainedBytes
            self.retainedCount = retainedCount
            self.holder = holder
            self.owners = owners
            self.ownerCount = ownerCount
        }
    }

    /// Texts on the heap, as far as they are recognised: Swift's and `std::string`'s.
    public struct Texts: Sendable, Equatable, Codable {
        public var count: UInt64
        public var bytes: UInt64
        /// That would be saved if each were there once; an estimate where there are many.
        public var duplicateBytes: UInt64
        /// Room beyond their ends.
        public var unusedBytes: UInt64
        /// Those whose copies take most, at most 8.
        public var largest: [Copies]

        public struct Copies: Sendable, Equatable, Codable {
            public var count: UInt64
            /// Of the text, in bytes.
            public var length: UInt64
            /// Type of an object that one of them is a part of; empty where none is.
            public var owner: String
            /// How it begins, 80 bytes of it at most; only where contents were asked for.
            public var start: String?

            public init(count: UInt64, length: UInt64, owner: String, start: String? = nil) {
                self.count = count
                self.length = length
                self.owner = owner
                self.start = start
            }
        }

        public init(
            count: UInt64, bytes: UInt64, duplicateBytes: UInt64, unusedBytes: UInt64, largest: [Copies] = []
        ) {
            self.count = count
            self.bytes = bytes
            self.duplicateBytes = duplicateBytes
            self.unusedBytes = unusedBytes
            self.largest = largest
        }
    }

    /// All blocks of one type.
    public struct TypeCount: Sendable, Equatable, Codable {
        public var name: String
        public var count: UInt64
        public var shallowBytes: UInt64
        /// What they hold alone, those behind others of the same type counted once.
        public var retainedBytes: UInt64
        /// In whose hands most of them are, the largest first.
        public var holders: [Holder]
        public static let mostHolders = 4

        public struct Holder: Sendable, Equatable, Codable {
            public enum Place: Sendable, Hashable, Comparable, Codable {
                /// Index into `HeapSurvey.roots`.
                case root(Int)
                /// Objects of a type, or nodes of a collection of a kind, and whose these are alone: an index into
                /// `HeapSurvey.roots`; -1 where several hold them, or one that is not in the list.
                case objects(String, root: Int)
                /// Several together, or a root that is not in the list.
                case others
                /// They are lost: no root leads to them.
                case nothing
            }

            public var place: Place
            /// Of the blocks of the type.
            public var count: UInt64

            public init(place: Place, count: UInt64) {
                self.place = place
                self.count = count
            }
        }

        public init(
            name: String, count: UInt64, shallowBytes: UInt64, retainedBytes: UInt64, holders: [Holder] = []
        ) {
            self.name = name
            self.count = count
            self.shallowBytes = shallowBytes
            self.retainedBytes = retainedBytes
            self.holders = holders
        }

        /// With another name for its type, and for those of its holders.
        package func renamed(_ newName: (String) -> String) -> TypeCount {
            var type = self
            type.name = newName(name)
            for index in holders.indices {
                if case .objects(let name, let root) = holders[index].place {
                    type.holders[index].place = .objects(newName(name), root: root)
                }
            }
            return type
        }
    }

    /// Blocks that nothing leads to, by the type of those that lead to the others.
    public struct Leak: Sendable, Equatable, Codable {
        public var type: String
        /// Blocks of this type that nothing leads to, or that lead to themselves.
        public var heads: UInt64
        /// Of these and of what they lead to. Each lost block counts once, also where several lead to it.
        public var bytes: UInt64
        public var count: UInt64
        /// They hold each other.
        public var isCycle: Bool
        /// Of one of the cycles, the types on the shortest way around, from this type on; else empty.
        public var way: [String]

        public init(
            type: String, heads: UInt64 = 1, bytes: UInt64, count: UInt64, isCycle: Bool, way: [String] = []
        ) {
            self.type = type
            self.heads = heads
            self.bytes = bytes
            self.count = count
            self.isCycle = isCycle
            self.way = way
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
