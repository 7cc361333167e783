import Algorithms
import CLinux
import HeapProfile
import RemoteProcess

/// Finds the roots of a stopped process.
struct RootFinder<Source: MemorySource> {
    private let scan: HeapScan<Source>
    private let memory: RemoteMemory
    private let map: MemoryMap
    private let inventory: HeapInventory
    /// Of each module, its variables by address.
    private let symbols: (_ path: String) -> [Variable]
    private(set) var roots: [HeapRoot] = []
    /// Where variables are.
    private(set) var collections: CollectionScan
    /// And those that variables point to.
    var storages: Storages
    /// Of an element of vectors and deques that are variables, by address.
    private(set) var elementSizes: [UInt64: UInt64] = [:]
    /// The blocks in which the standard streams keep what is read and written: bytes, and what was there before.
    private(set) var streamBuffers: Set<UInt32> = []
    /// `_IO_buf_base` of glibc's `struct _IO_FILE` (bits/types/struct_FILE.h).
    private static var bufferOfStream: UInt64 { 56 }
    /// Bytes of mappings that were too large to be read through while the process waits.
    private(set) var unread: UInt64 = 0
    private static var largestMapping: UInt64 { 1 << 30 }

    init(
        _ scan: HeapScan<Source>, _ memory: RemoteMemory, _ map: MemoryMap, _ inventory: HeapInventory,
        _ collections: CollectionScan, _ storages: Storages, symbols: @escaping (_ path: String) -> [Variable]
    ) {
        self.scan = scan
        self.memory = memory
        self.map = map
        self.inventory = inventory
        self.collections = collections
        self.storages = storages
        self.symbols = symbols
    }

    /// - Parameter pid: of the process itself, whose copy may be what is read.
    mutating func find(_ threads: [ThreadState], of pid: Int32) {
        let images = map.images.compactMap { header in
            RemoteImage(header, memory).flatMap { map.isLoaded($0, at: header) ? $0 : nil }
        }
        for image in images { globals(of: image) }
        let program = linkTarget("/proc/\(pid)/exe")
        let own = images.first { $0.path == program }
        mappings(images, threads.compactMap { stack(of: $0.registers) }, of: pid)
        for thread in threads { roots(of: thread, own) }
    }

    /// What the program mapped without the allocator, the stacks of its coroutines and of threads that ended, and the
    /// loader's own lists: all that is no heap, no chunk, no running thread's stack and no module's data.
    private mutating func mappings(_ images: [RemoteImage], _ stacks: [Range<UInt64>], of pid: Int32) {
        let known = images.flatMap(\.data) + stacks
        let own = Set(images.map(\.path))
        for mapping in map.mappings where mapping.isReadable && mapping.mayHold && !own.contains(mapping.path) {
            // Of shared memory, a copy by fork knows only what was read there since.
            let source = mapping.isShared ? RemoteMemory(pid: pid) : memory
            // The kernel joins neighbours, also with an arena's heap.
            for part in (mapping.start..<mapping.end).gaps(between: inventory.heaps) {
                look(in: part, beside: known, source)
            }
        }
    }

    private mutating func look(in whole: Range<UInt64>, beside known: [Range<UInt64>], _ source: RemoteMemory) {
        let known = known.filter { $0.overlaps(whole) } + scan.index.blocks(in: whole)
        let gaps = whole.gaps(between: known.sorted { $0.lowerBound < $1.lowerBound })
        if gaps.isEmpty { return }
        let touched = source.touched(whole)
        let bytes = touched.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
        guard bytes < Self.largestMapping else {
            unread += bytes
            return
        }
        for gap in gaps {
            let held = touched.filter(gap.overlaps).flatMap { scan.targets(in: $0.clamped(to: gap)).map(\.block) }
            if !held.isEmpty { roots.append(HeapRoot(kind: .mapping, address: gap.lowerBound, targets: held)) }
        }
    }

    // MARK: Globals

    private mutating func globals(of image: RemoteImage) {
        var names: [Variable]?
        for data in image.variables {
            scan.look(in: data, &collections)
            let found = scan.targets(in: data).filter { word in
                !inventory.bookkeeping.contains { $0.contains(word.address) }
            }
            guard !found.isEmpty else { continue }
            let symbols = names ?? self.symbols(image.path).filter { !$0.isThreadLocal }
            names = symbols
            add(found, symbols, bias: image.base, .global, module: image.path)
        }
    }

    /// One root for each variable; words without one are roots of their own.
    private mutating func add(
        _ found: [(address: UInt64, word: UInt64, block: UInt32)], _ symbols: [Variable], bias: UInt64,
        _ kind: HeapSurvey.Root.Kind, module: String, thread: Int32? = nil
    ) {
        var last: Variable?
        for (address, word, block) in found {
            storages.see(word, at: address, in: nil, to: block, scan.index)
            let symbol = Self.symbol(at: address &- bias, in: symbols)
            if let symbol, symbol == last {
                roots[roots.count - 1].targets.append(block)
            } else {
                if let symbol { see(symbol, at: symbol.start &+ bias) }
                roots.append(
                    HeapRoot(
                        kind: kind, symbol: symbol?.name ?? "", type: symbol?.type, module: module,
                        address: symbol.map { $0.start &+ bias } ?? address, size: symbol?.size ?? 0, thread: thread,
                        targets: [block]))
            }
            last = symbol
        }
    }

    private mutating func see(_ variable: Variable, at address: UInt64) {
        if let size = variable.elementSize { elementSizes[address] = size }
        if variable.name.hasPrefix("_IO_2_1_std"), let buffer = memory.word(address &+ Self.bufferOfStream),
            let block = scan.index.block(startingAt: buffer)
        {
            streamBuffers.insert(block)
        }
    }

    private static func symbol(at address: UInt64, in symbols: [Variable]) -> Variable? {
        let before = symbols[..<symbols.partitioningIndex { $0.start > address }]
        return before.last.flatMap { address - $0.start < $0.size ? $0 : nil }
    }

    // MARK: Threads

    private mutating func roots(of thread: ThreadState, _ program: RemoteImage?) {
        let registers = thread.registers
        guard registers.fs_base < 1 << 47 else { return }
        let locals = threadLocals(of: program, below: registers.fs_base)
        if let program, let locals {
            scan.look(in: locals, &collections)
            add(
                scan.targets(in: locals), symbols(program.path).filter(\.isThreadLocal), bias: locals.lowerBound,
                .threadLocal, module: program.path, thread: thread.id)
        }
        // Of the first thread, the blocks of the libraries lie below the program's in a mapping of their own.
        if let mapping = map.mapping(at: registers.fs_base), !mapping.contains(registers.rsp) {
            let end = locals?.lowerBound ?? registers.fs_base
            let low = max(mapping.start, end &- 64 << 10)
            add(
                scan.targets(in: min(low, end)..<end), [], bias: 0, .threadLocal, module: "", thread: thread.id)
        }
        // The loader's and libc's own record of the thread lies at its thread pointer.
        let record = registers.fs_base..<registers.fs_base + 2304
        add(scan.targets(in: record), [], bias: 0, .threadLocal, module: "", thread: thread.id)
        stack(of: thread, registers, locals, record)
        let values = withUnsafeBytes(of: registers) { Array($0.bindMemory(to: UInt64.self)) }
        let held = values.compactMap { scan.index.block(at: $0) }
        if !held.isEmpty { roots.append(HeapRoot(kind: .register, thread: thread.id, targets: held)) }
    }

    /// The program's block, which ends at the thread pointer (Drepper: "ELF Handling For Thread-Local Storage", 3.4.6,
    /// variant II).
    private func threadLocals(of program: RemoteImage?, below pointer: UInt64) -> Range<UInt64>? {
        guard let segment = program?.segments.first(where: { $0.type == 7 }), segment.size > 0, segment.size < pointer
        else {
            return nil
        }
        let alignment = min(max(1, segment.alignment), 1 << 30)
        let size = (segment.size + alignment - 1) / alignment * alignment
        guard size <= pointer else { return nil }
        return pointer - size..<pointer - size + segment.size
    }

    /// Where the thread's stack is. Below a coroutine's, in memory that the kernel joined with it, whatever else may be.
    private func stack(of registers: user_regs_struct) -> Range<UInt64>? {
        guard let mapping = map.mapping(at: registers.rsp) else { return nil }
        let low = lowEnd(ofStackOf: registers, memory, map) ?? registers.rsp &- 128
        return max(mapping.start, low)..<mapping.end
    }

    /// From the red zone below the stack pointer to the end, without what belongs to the thread by name.
    private mutating func stack(
        of thread: ThreadState, _ registers: user_regs_struct, _ locals: Range<UInt64>?, _ record: Range<UInt64>
    ) {
        guard let mapping = map.mapping(at: registers.rsp) else { return }
        let low = max(mapping.start, registers.rsp &- 128)
        var end = mapping.end
        if mapping.contains(registers.fs_base), registers.fs_base > low {
            end = locals?.lowerBound ?? record.lowerBound
        }
        // A neighbour may share the mapping with the stack.
        let behind = mapping.contains(record.upperBound) ? record.upperBound..<mapping.end : end..<end
        let held = (scan.targets(in: low..<max(low, end)) + scan.targets(in: behind)).map(\.block)
        guard !held.isEmpty else { return }
        roots.append(HeapRoot(kind: .stack, address: registers.rsp, thread: thread.id, targets: held))
    }
}

extension RemoteImage {
    /// Where its variables are.
    fileprivate var data: [Range<UInt64>] { ranges { $0.type == 1 && $0.isWritable } }

    /// Without those that nobody writes after the loader: numbers there look like addresses of a program that is not
    /// position-independent (the C locale has 99991231).
    fileprivate var variables: [Range<UInt64>] {
        let constants = ranges { $0.type == 0x6474_e552 }  // PT_GNU_RELRO
        return data.flatMap { $0.gaps(between: constants) }
    }

    private func ranges(_ isWanted: (Segment) -> Bool) -> [Range<UInt64>] {
        segments.filter { isWanted($0) && $0.start < 1 << 47 && $0.size < 1 << 40 }
            .map { $0.start..<$0.start + $0.size }
    }
}

extension MemoryMap {
    /// Whether the loader has mapped it. Else it is a file that the program reads, its own perhaps, whose variables would lie
    /// in memory that is another's.
    fileprivate func isLoaded(_ image: RemoteImage, at header: Mapping) -> Bool {
        guard image.segments.filter({ $0.type == 1 }).map({ $0.start & ~4095 }).min() == header.start else {
            return false
        }
        let places = image.data.map { mapping(at: $0.lowerBound) }
        let own = places.filter { place in
            place?.path == header.path && place?.inode == header.inode && (place != header || header.isWritable)
        }
        return places.isEmpty || (!own.isEmpty && !places.contains(nil))
    }
}

extension Range<UInt64> {
    /// What of it none of `parts` covers; they are in the order of their beginnings.
    func gaps(between parts: [Range<UInt64>]) -> [Range<UInt64>] {
        var gaps: [Range<UInt64>] = []
        var at = lowerBound
        for part in parts where part.upperBound > at {
            if part.lowerBound > at { gaps.append(at..<Swift.min(part.lowerBound, upperBound)) }
            at = part.upperBound
            if at >= upperBound { return gaps }
        }
        return gaps + [at..<upperBound]
    }
}

extension Mapping {
    /// Of no file, also where the program named it or asked for huge pages.
    var isAnonymous: Bool { path.isEmpty || path.hasPrefix("[anon:") || path == "/anon_hugepage" }

    /// Memory that a program may keep pointers in: anonymous, also where it was made read-only, shared between processes, or a
    /// file that it writes to. A ledger names blocks by address, and holds none of them.
    fileprivate var mayHold: Bool {
        if path.hasSuffix(".ledger") || path.hasPrefix("[v") { return false }
        return isWritable || isAnonymous || path.hasPrefix("/memfd:")
    }
}
