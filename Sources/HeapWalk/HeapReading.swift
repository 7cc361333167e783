import HeapGraph
import HeapProfile

/// All that was read of a process while it stood still.
struct HeapReading {
    var index: BlockIndex
    var graph: HeapGraph
    /// Of each block; no longer there once it is contracted.
    var firstWords: ContiguousArray<UInt64>
    /// Index into `typeNames` of each block.
    var types: ContiguousArray<UInt32>
    var typeNames: [String]
    var roots: [HeapRoot]
    var collections: [CollectionCandidate]
    var doubts: [String]

    var blocks: ContiguousArray<HeapBlock> { index.blocks }

    /// With collections checked, and none of their nodes in anybody else's hands.
    consuming func contracted() -> HeapReading {
        let found = Collections(collections, index, graph, firstWords)
        graph = found.contracted(graph)
        roots = roots.map { root in
            var contracted = found.contracted(root)
            contracted.container = found.largest(of: root) ?? root.container
            return contracted
        }
        firstWords = []
        return self
    }
}

/// A place outside of the heap that points into it.
struct HeapRoot {
    var kind: HeapSurvey.Root.Kind
    /// The symbol; empty where there is none.
    var symbol = ""
    /// Path of the module that it is in; empty for stacks and registers.
    var module = ""
    /// Of the variable, and its size; 0 where no symbol tells.
    var address: UInt64 = 0
    var size: UInt64 = 0
    /// Kernel thread id, of what belongs to a thread.
    var thread: Int32?
    /// The blocks that it points to.
    var targets: [UInt32] = []
    var container: HeapSurvey.Container?

    /// Without a name: it only explains what nothing named leads to.
    var isWeak: Bool { kind == .stack || kind == .register || kind == .mapping }
}
