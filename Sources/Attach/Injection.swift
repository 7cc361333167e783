import CLinux
import Glibc
import RemoteProcess

/// A function of the process that one of its threads is made to call.
struct RemoteCall {
    var function: UInt64
    var first: UInt64 = 0
    var second: UInt64 = 0
}

/// Makes a stopped thread call functions and return to where it was, in a way that never depends on the tracer:
///
///     thread's stack                              area (mapped for this)
///     ┌──────────────────────────────┐            ┌──────────────────────────────┐
///     │ what the thread was at, and   │            │ payload                      │
///     │ the red zone                  │            │ results                      │
///     ├──────────────────────────────┤            │ ⋮ stack of the calls         │
///     │ XSAVE image                   │◀─┐         │ frame of call 2, 3 …         │
///     │ H: home, as it was            │──┘         │ M: munmap of the area, then H│
///     │ A: mmap of the area, then H   │            └──────────────────────────────┘
///     └──────────────────────────────┘
///
/// Each is a signal frame, and each function returns into libc's `rt_sigreturn`, which takes the next one. Setting the
/// registers once sends the thread to A; were the tracer killed now, it would map the area and come home. It is stopped
/// again right after the mmap, where the registers are set a second time, for the first call; from there it gets home by
/// itself as well. All signals are blocked on the way. Nothing of this needs memory that can be executed.
struct Injection {
    static let areaSize: UInt64 = 512 << 10
    static let payloadSize = 16 << 10

    let thread: TracedThread
    let memory: RemoteMemory
    let gadgets: Gadgets
    /// The thread's registers as they are to be when it comes home.
    let home: user_regs_struct
    let mask: UInt64
    let extendedState: ExtendedState

    /// What the calls returned, nil for what is not known, and the payload as they left it.
    struct Outcome {
        var results: [UInt64?]
        var payload: [UInt8]
    }

    enum Failure: Error {
        /// There is no room on the stack, or it cannot be written: nothing was done.
        case noRoom
        /// The process has no memory for the area.
        case noArea(Int32)
        /// It ended, or began another program.
        case ended
        /// Still on its way, to come home by itself.
        case timeout
        case system(Int32)
    }

    private static let redZone: UInt64 = 128
    private static let everySignal = UInt64.max
    private static let unknown: UInt64 = 0x5eed_5eed_5eed_5eed

    /// The lowest address of the thread's stack that is written.
    var lowest: UInt64 { plan.mapFrame - 8 }

    private var plan: (image: UInt64, homeFrame: UInt64, mapFrame: UInt64) {
        let image = (home.rsp - Self.redZone - UInt64(extendedState.bytes.count)) & ~63
        let homeFrame = (image - SignalFrame.size) & ~15
        return (image, homeFrame, (homeFrame - 8 - SignalFrame.size) & ~15)
    }

    /// Of the calls the first begins with the payload's address known; they may all refer to it.
    func run(payload: [UInt8], _ calls: (_ payload: UInt64) -> [RemoteCall]) throws(Failure) -> Outcome {
        try setOut()
        let atArea = try arrive(at: 9, entry: false)  // mmap
        let area = UInt64(atArea.rax)
        guard area < UInt64.max - 4095 else { throw .noArea(Int32(truncatingIfNeeded: 0 &- Int64(bitPattern: area))) }
        let calls = calls(area)
        try begin(calls, from: atArea, area: area, payload: payload)
        _ = try arrive(at: 11, entry: true)  // munmap
        let results = calls.indices.map { index in
            memory.word(area + UInt64(Self.payloadSize + index * 8)).flatMap { $0 == Self.unknown ? nil : $0 }
        }
        return Outcome(results: results, payload: memory.read(area, payload.count) ?? [])
    }

    // MARK: Steps

    private func setOut() throws(Failure) {
        let plan = plan
        var home = SignalFrame(registers: home, mask: mask, extendedState: plan.image)
        home.registers.rsp = self.home.rsp
        var map = systemCall(9, plan)
        (map.rdi, map.rsi, map.rdx) = (0, Self.areaSize, 3)  // PROT_READ | PROT_WRITE
        (map.r10, map.r8, map.r9) = (0x22, .max, 0)  // MAP_PRIVATE | MAP_ANONYMOUS
        let pieces = [
            (plan.image, extendedState.bytes),
            (plan.homeFrame - 8, littleEndian([gadgets.signalReturn]) + home.bytes),
            (plan.mapFrame - 8, littleEndian([gadgets.signalReturn]) + frame(map)),
        ]
        for (address, bytes) in pieces { guard memory.write(bytes, to: address) else { throw .noRoom } }
        var start = self.home
        start.rip = gadgets.signalReturn
        start.rsp = plan.mapFrame
        try set(start)
    }

    private func begin(
        _ calls: [RemoteCall], from registers: user_regs_struct, area: UInt64, payload: [UInt8]
    ) throws(Failure) {
        var unmap = systemCall(11, plan)
        (unmap.rdi, unmap.rsi) = (area, Self.areaSize)
        var next = (area + Self.areaSize - SignalFrame.size) & ~15
        var pieces = [(next, frame(unmap)), (area, payload)]
        var first = registers
        for (index, call) in calls.enumerated().reversed() {
            let result = area + UInt64(Self.payloadSize + index * 8)
            pieces.append((result, littleEndian([Self.unknown])))
            // What the function returns to: `mov %rax, (%rbx); pop %rbx; ret`, then rt_sigreturn, then the next frame.
            let way = (gadgets.store.map { [$0, 0] } ?? []) + [gadgets.signalReturn]
            var start = registers
            start.eflags = 0x202
            start.rip = call.function
            start.rsp = next - UInt64(way.count) * 8
            (start.rdi, start.rsi, start.rbx) = (call.first, call.second, result)
            pieces.append((start.rsp, littleEndian(way)))
            next = (start.rsp - SignalFrame.size) & ~15
            if index > 0 { pieces.append((next, frame(start))) }
            first = start
        }
        for (address, bytes) in pieces { guard memory.write(bytes, to: address) else { throw .system(EFAULT) } }
        first.orig_rax = .max
        try set(first)
    }

    /// A system call of the gadget's, which returns into the frame that brings the thread home.
    private func systemCall(_ number: UInt64, _ plan: (image: UInt64, homeFrame: UInt64, mapFrame: UInt64))
        -> user_regs_struct
    {
        var registers = home
        registers.eflags = 0x202
        registers.rip = gadgets.systemCall
        registers.rax = number
        registers.rsp = plan.homeFrame - 8
        return registers
    }

    private func frame(_ registers: user_regs_struct) -> [UInt8] {
        SignalFrame(registers: registers, mask: Self.everySignal).bytes
    }

    /// Goes on until the thread is at the beginning or the end of that system call of ours.
    private func arrive(at number: UInt64, entry: Bool) throws(Failure) -> user_regs_struct {
        var delivering: Int32 = 0
        let end = monotonicMilliseconds() + Self.patience
        while monotonicMilliseconds() < end {
            do { try thread.goOn(delivering: delivering) } catch { throw .ended }
            delivering = 0
            switch thread.wait(Int32(clamping: end - monotonicMilliseconds())) {
            case .ended: throw .ended
            case .none: throw .timeout
            case .signal(let signal): delivering = signal
            case .interrupted, .group, .child: break
            case .systemCall:
                let registers: user_regs_struct
                do { registers = try thread.registers() } catch { throw .ended }
                // ENOSYS stands in for the result until there is one.
                let isEntry = registers.rax == UInt64(bitPattern: -38)
                if registers.orig_rax == number, registers.rsp == plan.homeFrame - 8, isEntry == entry {
                    return registers
                }
            }
        }
        throw .timeout
    }

    private static let patience: Int64 = 10_000

    private func set(_ registers: user_regs_struct) throws(Failure) {
        do { try thread.set(registers) } catch { throw error.number == ESRCH ? .ended : .system(error.number) }
    }
}

func monotonicMilliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
