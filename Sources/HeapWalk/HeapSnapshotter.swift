import Glibc
package import HeapProfile
import RemoteProcess

/// How a process is kept from changing its heap while that is read.
package enum Freeze: String, Sendable {
    /// A copy by fork, where that leaves no trace; else `copy`, where there is room; else `stop`.
    case automatic
    /// A copy by fork, for which it stands still for some 20 ms a GB, also where the first process of its container may keep
    /// a zombie of it; where it is not possible at all, as `automatic`.
    case fork
    /// It stands still until its memory is copied: about 1.5 s a GB. Takes as much memory here.
    case copy
    /// As `automatic`, but not at all where that would come to `stop`.
    case brief
    /// It stands still: about 2 s a GB and 1 µs a block. Takes no memory of its cgroup.
    case stop
}

/// Stops a process, reads its heap, and lets it go on.
package enum HeapSnapshotter {
    /// Tries, and microseconds between them: a thread in the midst of malloc is soon through.
    private static let tries = 50
    private static let pause: UInt32 = 200

    /// The blocks in use, from a moment at which the heap was whole.
    package static func inventory(_ pid: Int32) throws(HeapWalkError) -> HeapInventory {
        try whole(pid, .stop, 0, notRecorded) { _, inventory in inventory }.result
    }

    /// Who holds what.
    ///
    /// - Parameters:
    ///   - freeze: how the process is kept from changing it.
    ///   - copyRoom: bytes that a copy of its memory may take here.
    ///   - recorded: the blocks of an allocator that is not glibc's, asked for while the process stands still; nil where
    ///     they are not known.
    ///   - samples: blocks that were sampled just before, whose holders are looked up.
    ///   - room: bytes that this may take, about 150 a block; nil: any.
    ///   - quotesTexts: also tell what texts say that are there many times.
    ///   - symbols: the variables of the module at a path, by address.
    package static func survey(
        _ pid: Int32, freeze: Freeze = .automatic, copyRoom: UInt64 = 0, recorded: () -> HeapInventory? = notRecorded,
        samples: ContiguousArray<LiveSample> = [], room: UInt64? = nil, quotesTexts: Bool = false,
        symbols: @escaping (_ path: String) -> [Variable]
    ) throws(HeapWalkError) -> HeapSurvey {
        let known = Self.preloaded(pid, symbols)
        let libraries = CollectionLibraries(known)
        let (reading, pause) = try whole(pid, freeze, copyRoom, recorded) { (frozen, inventory) throws(HeapWalkError) in
            let (memory, map) = (frozen.memory, frozen.map)
            try Self.check(inventory.blocks.count, room)
            let scan = HeapScan(memory, BlockIndex(inventory.blocks))
            var collections = CollectionScan(scan.index, libraries)
            var reader = TypeReader(memory, map)
            let blocks = scan.blocks(&reader, &collections)
            var finder = RootFinder(scan, memory, map, inventory, collections, blocks.storages) {
                known[$0] ?? symbols($0)
            }
            finder.find(frozen.threads, of: pid)
            finder.storages.findFields(blocks.graph, scan.index, memory)
            let vectors = FoundVector.settled(finder.collections.vectors, scan.index)
            let ends = UnusedEnds(
                vectors.used + finder.collections.texts.used, buffers: finder.streamBuffers, blocks.graph, scan.index,
                memory)
            return HeapReading(
                index: scan.index, graph: blocks.graph, firstWords: blocks.firstWords, weak: blocks.weak,
                types: blocks.types, typeNames: reader.names, roots: finder.roots,
                candidates: finder.collections.candidates, vectors: vectors,
                doubtful: DoubtfulEdges(ends.edges + blocks.doubtful, nodeCount: scan.index.blocks.count),
                textBlocks: ends.texts,
                elementSizes: finder.elementSizes, storages: finder.storages,
                texts: finder.collections.texts.waste(scan.index, memory, quotes: quotesTexts),
                method: frozen.method,
                doubts: inventory.doubts + Self.doubts(unread: finder.unread) + finder.collections.doubts)
        }
        return HeapSurvey(reading.contracted(), samples: samples, pause: pause)
    }

    private static func usesGlibcsAllocator(_ memory: RemoteMemory, _ map: MemoryMap, _ version: Int) -> Bool {
        (try? GlibcHeap(memory, map, version: version)) != nil
    }

    package static func notRecorded() -> HeapInventory? { nil }

    private static let bytesPerBlock: UInt64 = 150

    private static func check(_ blocks: Int, _ room: UInt64?) throws(HeapWalkError) {
        let need = UInt64(blocks) * bytesPerBlock
        guard let room, need > room else { return }
        throw HeapWalkError(
            .tooLarge,
            "its \(blocks) blocks take \(need >> 20) MiB to look through, and \(room >> 20) MiB are left below the limit: "
                + "run heaptide outside of the service's cgroup")
    }

    private static func doubts(unread: UInt64) -> [String] {
        guard unread > 0 else { return [] }
        return ["\(unread >> 20) MiB of large mappings were not read: what only they hold is told as led to by nothing"]
    }

    /// Symbol tables take longer to read than heaps: nobody has to wait for them.
    private static func preloaded(
        _ pid: Int32, _ symbols: (_ path: String) -> [Variable]
    ) -> [String: [Variable]] {
        let paths = Set((MemoryMap(of: pid)?.images ?? []).map(\.path))
        return Dictionary(uniqueKeysWithValues: paths.map { ($0, symbols($0)) })
    }

    /// A moment of a process.
    private struct Frozen {
        var memory: RemoteMemory
        var map: MemoryMap
        var threads: [ThreadState]
        var method = HeapSurvey.Method.stop
    }

    /// Another reader may have it just now.
    private static func waitUntilNobodyTraces(_ pid: Int32) {
        for _ in 0..<100 {
            guard let tracer = statusFields("/proc/\(pid)/status")?["TracerPid"], tracer != "0" else { return }
            usleep(100_000)
        }
    }

    /// `body` while the process or a copy of it stands still and its heap is whole, and the seconds for which the process
    /// stood, failed tries included.
    private static func whole<Value>(
        _ pid: Int32, _ freeze: Freeze, _ copyRoom: UInt64, _ recorded: () -> HeapInventory?,
        _ body: (Frozen, HeapInventory) throws(HeapWalkError) -> Value
    ) throws(HeapWalkError) -> (result: Value, pause: Double) {
        let memory = RemoteMemory(pid: pid)
        guard access("/proc/\(pid)", F_OK) == 0 else {
            throw HeapWalkError(.processUnreadable, "process \(pid) does not exist")
        }
        if statusFields("/proc/\(pid)/status")?["VmSize"] == nil {
            throw HeapWalkError(.processUnreadable, "process \(pid) is a thread of the kernel, or has ended")
        }
        guard let map = MemoryMap(of: pid), !map.mappings.isEmpty else {
            throw HeapWalkError(
                .processUnreadable, "process \(pid) may not be read: run heaptide as its user, or as root")
        }
        waitUntilNobodyTraces(pid)
        guard let version = glibcVersion(memory, map) else {
            throw HeapWalkError(
                .foreignAllocator, "process \(pid) has no glibc that can be read: its heap cannot be read from outside")
        }
        var failure = HeapWalkError(.busy, "process \(pid) could not be looked at")
        var pause = Duration.zero
        var freeze = freeze
        for _ in 0..<tries {
            let start = ContinuousClock.now
            let mayFork = freeze != .stop && freeze != .copy
            let stopped = try StoppedProcess(pid)
            let outcome = Result<Value, HeapWalkError> { () throws(HeapWalkError) in
                guard let map = MemoryMap(of: pid) else { throw failure }
                let isGlibcs = Self.usesGlibcsAllocator(memory, map, version)
                var known = isGlibcs ? nil : recorded()
                known?.addHeaps(map)
                var frozen = Frozen(memory: memory, map: map, threads: stopped.states)
                func goOn(_ memory: RemoteMemory, _ method: HeapSurvey.Method) {
                    stopped.letGo()
                    pause += start.duration(to: .now)
                    (frozen.memory, frozen.method) = (memory, method)
                }
                defer { if frozen.method == .stop { pause += start.duration(to: .now) } }
                let fork = mayFork ? ForkedCopy(of: stopped, memory, map, insists: freeze == .fork) : nil
                if let fork {
                    goOn(RemoteMemory(pid: fork.pid), .fork)
                } else if freeze != .stop {
                    // Copying takes long: not of a heap that somebody is changing just now.
                    if known == nil { known = try GlibcHeap(memory, map, version: version).inventory() }
                    if let kept = MemoryCopy(of: memory, map, most: copyRoom) {
                        goOn(RemoteMemory(pid: pid, kept: kept), .copy)
                    }
                }
                if freeze == .brief, frozen.method == .stop {
                    throw HeapWalkError(.tooLarge, "process \(pid) would have to stand still for longer than it may")
                }
                return try withExtendedLifetime(fork) { () throws(HeapWalkError) in
                    // Of one that was killed meanwhile parts are missing, whatever came of it.
                    defer { if let fork, !fork.isAlive { freeze = .stop } }
                    if let known { return try body(frozen, known) }
                    return try body(frozen, GlibcHeap(frozen.memory, map, version: version).inventory())
                }
            }
            stopped.letGo()
            if mayFork, freeze == .stop { continue }
            switch outcome {
            case .success(let value): return (value, pause / .seconds(1))
            case .failure(let error) where error.code == .busy: failure = error
            case .failure(let error): throw error
            }
            usleep(self.pause)
        }
        throw failure
    }
}
