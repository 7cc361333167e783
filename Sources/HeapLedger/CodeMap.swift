import Algorithms
import CHeapLedger
import HeapProfile

/// Turns return addresses in memory into addresses of modules, as those lay when the stack was taken.
struct CodeMap {
    /// One entry a file: mappings of the same path and build ID share it.
    private(set) var modules: [Module] = []
    /// By start; `reach` holds the largest end so far, so that a search stops where nothing below reaches up.
    private var mappings: [Mapping] = []
    private var reach: [UInt64] = []

    private struct Mapping {
        var start: UInt64
        var end: UInt64
        var bias: UInt64
        var generations: Range<UInt64>
        var module: Int32
    }

    private struct File: Hashable {
        var path: String
        var buildID: String
    }

    init() {}

    /// Reads the module table. `damaged` grows by the records that contradict themselves.
    init(_ ledger: borrowing LedgerFile, damaged: inout Int) {
        var records: [hl_module] = []
        ledger.forEachPublished(ledger.layout.modules, hl_module.self, twice: true) { records.append($1) }
        var known: [File: Int32] = [:]
        for record in records {
            let length = Int(record.build_id_length)
            guard record.start < record.end, record.loaded_at <= record.unloaded_at,
                length <= MemoryLayout.size(ofValue: record.build_id), let path = ledger.name(at: record.name_offset)
            else {
                damaged += 1
                continue
            }
            let buildID = withUnsafeBytes(of: record.build_id) {
                hexadecimal(UnsafeRawBufferPointer(rebasing: $0[..<length]))
            }
            let file = File(path: path, buildID: buildID)
            let index = known[file] ?? Int32(clamping: modules.count)
            if known.updateValue(index, forKey: file) == nil {
                modules.append(
                    Module(path: path, buildID: buildID, start: record.start, end: record.end, bias: record.bias))
            }
            mappings.append(
                Mapping(
                    start: record.start, end: record.end, bias: record.bias,
                    generations: record.loaded_at..<record.unloaded_at, module: index))
        }
        mappings.sort { $0.start < $1.start }
        var largest: UInt64 = 0
        reach = mappings.map { mapping in
            largest = max(largest, mapping.end)
            return largest
        }
    }

    /// The module that held the call before return address `address` at `generation`, else the bare address. Of several
    /// that came last: where the table was nearly full, a module that came back covers the time of another one, too.
    func resolve(_ address: UInt64, generation: UInt64) -> CodeAddress {
        let call = address &- 1
        var index = firstMapping(after: call)
        var found: Mapping?
        while index > 0, reach[index - 1] > call {
            index -= 1
            let mapping = mappings[index]
            guard call < mapping.end, mapping.generations.contains(generation) else { continue }
            if mapping.generations.lowerBound >= found?.generations.lowerBound ?? 0 { found = mapping }
        }
        guard let found else { return CodeAddress(module: -1, offset: address) }
        return CodeAddress(module: found.module, offset: address &- found.bias)
    }

    /// Index of the first mapping that starts after `address`.
    private func firstMapping(after address: UInt64) -> Int {
        mappings.partitioningIndex { $0.start > address }
    }
}
