import Glibc
package import HeapProfile
import RemoteProcess

/// Stops a process, reads its heap, and lets it go on.
package enum HeapSnapshotter {
    /// Tries, and microseconds between them: a thread in the midst of malloc is soon through.
    private static let tries = 50
    private static let pause: UInt32 = 200

    /// The blocks in use, from a moment at which the heap was whole.
    package static func inventory(_ pid: Int32) throws(HeapWalkError) -> HeapInventory {
        try whole(pid) { (_, _, _, inventory) in inventory }
    }

    /// Who holds what. The process stands still while its heap is read, about 0.4 s a GB.
    ///
    /// - Parameter symbols: the variables of the module at a path, by address.
    package static func survey(
        _ pid: Int32, symbols: @escaping (_ path: String) -> [DataSymbol]
    ) throws(HeapWalkError) -> HeapSurvey {
        let known = Self.preloaded(pid, symbols)
        let clock = ContinuousClock()
        var pause = Duration.zero
        let reading = try whole(pid) { (stopped, memory, map, inventory) in
            let start = clock.now
            defer { pause = start.duration(to: clock.now) }
            let scan = HeapScan(memory, BlockIndex(inventory.blocks))
            let (graph, firstWords) = scan.graph()
            var reader = TypeReader(memory, map)
            let types = ContiguousArray(zip(inventory.blocks, firstWords).map { reader.type($1, size: $0.size) })
            var finder = RootFinder(scan, memory, map, inventory) { known[$0] ?? symbols($0) }
            finder.find(stopped)
            let containers = ContainerReader(
                memory: memory, index: scan.index, firstWords: firstWords, types: types, typeNames: reader.names)
            let roots = finder.roots.map { root in
                var root = root
                root.container = containers.container(of: root)
                return root
            }
            return HeapReading(
                blocks: inventory.blocks, graph: graph, types: types, typeNames: reader.names, roots: roots,
                doubts: inventory.doubts)
        }
        return HeapSurvey(
            reading, pause: Double(pause.components.seconds) + Double(pause.components.attoseconds) / 1e18)
    }

    /// Symbol tables take longer to read than heaps: nobody has to wait for them.
    private static func preloaded(
        _ pid: Int32, _ symbols: (_ path: String) -> [DataSymbol]
    ) -> [String: [DataSymbol]] {
        let paths = Set((MemoryMap(of: pid)?.images ?? []).map(\.path))
        return Dictionary(uniqueKeysWithValues: paths.map { ($0, symbols($0)) })
    }

    /// `body` while the process stands still and its heap is whole.
    private static func whole<Result>(
        _ pid: Int32, _ body: (StoppedProcess, RemoteMemory, MemoryMap, HeapInventory) -> Result
    ) throws(HeapWalkError) -> Result {
        let memory = RemoteMemory(pid: pid)
        var failure = HeapWalkError(.busy, "process \(pid) could not be looked at")
        for _ in 0..<tries {
            let stopped = try StoppedProcess(pid)
            defer { stopped.letGo() }
            guard let map = MemoryMap(of: pid), let version = glibcVersion(memory, map) else {
                throw HeapWalkError(
                    .foreignAllocator, "process \(pid) has no glibc: its heap cannot be read from outside")
            }
            do throws(HeapWalkError) {
                return body(stopped, memory, map, try GlibcHeap(memory, map, version: version).inventory())
            } catch {
                guard error.code == .busy else { throw error }
                failure = error
            }
            stopped.letGo()
            usleep(pause)
        }
        throw failure
    }
}
