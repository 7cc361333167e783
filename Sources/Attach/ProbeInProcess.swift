import RemoteProcess

/// The probe as it is mapped in a process: its note tells where its life is kept and what to call (HeapProbe/attach.h).
struct ProbeInProcess {
    enum Life: UInt64 { case unborn, preloaded, idle, attached }

    /// Of the function hp_control.
    let control: UInt64
    let life: Life

    private static let noteType: UInt64 = 2

    /// nil where there is no probe.
    static func find(in target: AttachTarget) throws(AttachError) -> ProbeInProcess? {
        guard let image = target.images.last(where: { roleOfFile(fileName($0.path)) == .probe }) else { return nil }
        guard let note = image.note(owner: "Heaptide", type: noteType), note.bytes.count >= 8 else {
            throw AttachError(
                .wrongState, "process \(target.pid) has another version of the probe (\(image.path)): restart it")
        }
        func address(_ offset: Int) -> UInt64 {
            let distance = Int32(truncatingIfNeeded: number(note.bytes, at: offset, size: 4))
            return note.address &+ UInt64(offset) &+ UInt64(bitPattern: Int64(distance))
        }
        guard let word = target.memory.read(address(4), 4), let life = Life(rawValue: number(word, at: 0, size: 4))
        else { throw AttachError(.wrongState, "process \(target.pid): the probe in it cannot be read: restart it") }
        return ProbeInProcess(control: address(0), life: life)
    }
}

/// hp_request of HeapProbe/attach.h.
struct ProbeRequest {
    enum Command: UInt64 {
        case attach = 1
        case detach = 2
    }
    enum Result: UInt64 {
        case done = 1
        case noAllocator, wrongLife, busy, noLedger, loaderBusy
    }

    static let placeCapacity = 4096

    var command: Command
    var interval: UInt64 = 0
    var ledgerSize: UInt64 = 0
    var directory = ""

    var bytes: [UInt8] {
        let directory = Array(directory.utf8.prefix(Self.placeCapacity - 1))
        return littleEndian([command.rawValue, interval, ledgerSize, 0]) + directory
            + [UInt8](repeating: 0, count: Self.placeCapacity - directory.count)
    }

    /// What the probe wrote back.
    struct Answer {
        let result: Result?
        let slots: Int
        /// Path of the ledger.
        let place: String

        init(_ bytes: [UInt8]) {
            result = Result(rawValue: number(bytes, at: 4, size: 4))
            slots = Int(clamping: number(bytes, at: 24, size: 8))
            place = String(decoding: bytes.dropFirst(32).prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
