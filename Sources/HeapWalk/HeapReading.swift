import HeapGraph
import HeapProfile

/// All that was read of a process while it stood still.
struct HeapReading {
    var index: BlockIndex
    var graph: HeapGraph
    /// Of each block; no longer there once it is contracted.
    var firstWords: ContiguousArray<UInt64>
    /// Swift's tables for weak references.
    var weak: NodeSet
    /// Index into `typeNames` of each block.
    var types: SmallNumbers
    var typeNames: [String]
    var roots: [HeapRoot]
    var candidates: [CollectionCandidate]
    /// By block, one for each.
    var vectors: [FoundVector]
    /// What freed memory left behind.
    var doubtful: DoubtfulEdges
    /// Blocks of text, which are nothing else.
    var textBlocks: Set<UInt32>
    /// Bytes of an element of the vectors and deques at some addresses, from debug information.
    var elementSizes: [UInt64: UInt64]
    var storages: Storages
    /// None before it is contracted.
    var collections = Collections.none
    var texts: TextWaste?
    /// What the roots lead to; nothing before it is contracted.
    var reached = NodeSet(nodeCount: 0)
    var method: HeapSurvey.Method
    var doubts: [String]

    var blocks: ContiguousArray<HeapBlock> { index.blocks }

    /// With collections checked, and none of their nodes in anybody else's hands.
    consuming func contracted() -> HeapReading {
        collections = Collections(
            candidates, index, graph, firstWords, elementSizes: elementSizes, texts: textBlocks)
        firstWords = []  // a graph is there twice while it is filtered
        candidates = []
        collections.add(vectors, elementSizes: elementSizes, of: blocks.count)
        collections.add(storages, index)
        vectors = []
        storages = Storages()
        // What a collection's nodes seem to be led to by is doubtful, but not so that they would be lost.
        reached = graph.reachable(from: HeapRoots(roots.lazy.map(\.targets)), known: weak)
        graph = collections.contracted(graph, weak: weak)
        roots = roots.map(collections.contracted)
        graph = doubtful.leftOut(of: graph, HeapRoots(roots.lazy.filter { !$0.isWeak }.map(\.targets)))
        doubtful = .none
        return self
    }
}

/// A place outside of the heap that points into it.
struct HeapRoot {
    var kind: HeapSurvey.Root.Kind
    /// The symbol; empty where there is none.
    var symbol = ""
    /// As debug information declares it.
    var type: String?
    /// Path of the module that it is in; empty for stacks and registers.
    var module = ""
    /// Of the variable, and its size; 0 where no symbol tells.
    var address: UInt64 = 0
    var size: UInt64 = 0
    /// Kernel thread id, of what belongs to a thread.
    var thread: Int32?
    /// The blocks that it points to.
    var targets: [UInt32] = []

    /// Without a name: it only explains what nothing named leads to.
    var isWeak: Bool { kind == .stack || kind == .register || kind == .mapping }
}
