import CHeapLedger

/// Where the sections of one ledger lie: the header's offsets and capacities, checked once against the header's own
/// `file_size`. They never change while the file lives, so everything else may rely on them.
struct LedgerLayout: Sendable {
    struct Section: Sendable {
        let offset: Int
        let capacity: Int
        let stride: Int
        var end: Int { offset + capacity * stride }
    }

    let modules: Section
    let names: Section
    let sites: Section
    let frames: Section
    let keys: Section
    let samples: Section

    /// Throws with `path` only for the message.
    init(_ header: hl_header, path: String) throws(HeapLedgerError) {
        try Self.checkIdentity(header, path: path)
        guard header.header_size == HL_HEADER_SIZE,
            (UInt64(HL_HEADER_SIZE)...HL_MAX_SIZE).contains(header.file_size)
        else {
            throw HeapLedgerError(
                .damaged, path, "the ledger's header is damaged (sizes out of range): nothing in it can be trusted")
        }
        // In the file's own order: each section begins where the one before it has ended.
        var end = UInt64(HL_HEADER_SIZE)
        func section(
            _ name: String, _ offset: UInt64, _ capacity: UInt64, _ stride: Int
        ) throws(HeapLedgerError) -> Section {
            let (length, overflow) = capacity.multipliedReportingOverflow(by: UInt64(stride))
            guard !overflow, offset % UInt64(HL_ALIGNMENT) == 0, offset >= end, offset <= header.file_size,
                length <= header.file_size - offset
            else {
                throw HeapLedgerError(
                    .damaged, path,
                    "the ledger's header is damaged (section \"\(name)\" lies outside the file): nothing in it can be trusted"
                )
            }
            end = offset + length
            return Section(offset: Int(offset), capacity: Int(capacity), stride: stride)
        }
        modules = try section(
            "modules", header.modules_offset, header.modules_capacity, MemoryLayout<hl_module>.stride)
        names = try section("names", header.names_offset, header.names_capacity, 1)
        sites = try section("sites", header.sites_offset, header.sites_capacity, MemoryLayout<hl_site>.stride)
        frames = try section(
            "frames", header.frames_offset, header.frames_capacity, MemoryLayout<UInt64>.stride)
        keys = try section("keys", header.keys_offset, header.samples_capacity, MemoryLayout<UInt64>.stride)
        samples = try section(
            "samples", header.samples_offset, header.samples_capacity, MemoryLayout<hl_sample>.stride)
    }

    private static func checkIdentity(_ header: hl_header, path: String) throws(HeapLedgerError) {
        if header.magic == HL_MAGIC.byteSwapped {
            throw HeapLedgerError(
                .foreign, path, "the ledger comes from a machine of the other byte order: read it on such a machine")
        }
        guard header.magic == HL_MAGIC else {
            throw HeapLedgerError(
                .notALedger, path,
                header.magic == 0
                    ? "not a ledger, or one whose process died before recording began: nothing was recorded"
                    : "not a ledger: give a file that the probe wrote (PID-START.ledger) or a .heaptide snapshot")
        }
        guard header.layout_version == HL_LAYOUT_VERSION else {
            throw HeapLedgerError(
                .foreign, path,
                "the ledger has layout version \(header.layout_version) and this heaptide reads \(HL_LAYOUT_VERSION): "
                    + "use the heaptide that came with the probe")
        }
    }
}
