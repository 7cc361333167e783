import CElf
import CLinux
import Glibc
import RemoteProcess

/// Unwinds the stack of a stopped thread by the modules' call frame information, through libdw.
final class StackWalk {
    struct Frame: Equatable {
        /// Where the thread is, or will return to.
        var address: UInt64
        /// It was interrupted here: the innermost frame, and those that a signal handler interrupted.
        var isActivation: Bool
    }

    private static let depth = 512
    private let dwfl: OpaquePointer
    private let callbacks: UnsafeMutablePointer<Dwfl_Callbacks>
    private let threadCallbacks: UnsafeMutablePointer<Dwfl_Thread_Callbacks>
    private let pid: Int32
    private let memory: RemoteMemory
    private var registers = user_regs_struct()
    private var frames: [Frame] = []

    /// Modules whose files cannot be had any more end the walk. nil where libdw does not begin.
    init?(of pid: Int32, _ map: MemoryMap) {
        self.pid = pid
        memory = RemoteMemory(pid: pid)
        callbacks = .allocate(capacity: 1)
        threadCallbacks = .allocate(capacity: 1)
        callbacks.initialize(to: Dwfl_Callbacks())
        callbacks.pointee.find_elf = { _, _, _, _, _, _ in -1 }
        callbacks.pointee.find_debuginfo = { _, _, _, _, _, _, _, _ in -1 }
        threadCallbacks.initialize(to: Dwfl_Thread_Callbacks())
        threadCallbacks.pointee.next_thread = { _, _, _ in 0 }
        threadCallbacks.pointee.get_thread = { _, _, context, thread in
            thread?.pointee = context
            return true
        }
        threadCallbacks.pointee.memory_read = { _, address, word, context in
            guard let context, let value = walk(context).memory.word(address) else { return false }
            word?.pointee = value
            return true
        }
        threadCallbacks.pointee.set_initial_registers = { thread, context in
            guard let context else { return false }
            return walk(context).setRegisters(thread)
        }
        guard let dwfl = dwfl_begin(callbacks) else {
            callbacks.deallocate()
            threadCallbacks.deallocate()
            return nil
        }
        self.dwfl = dwfl
        dwfl_report_begin(dwfl)
        for image in map.images {
            let file = Self.open(image, of: pid)
            if file >= 0, dwfl_report_elf(dwfl, image.path, image.path, file, image.start, false) == nil { close(file) }
        }
        guard dwfl_report_end(dwfl, nil, nil) == 0,
            dwfl_attach_state(dwfl, nil, pid, threadCallbacks, Unmanaged.passUnretained(self).toOpaque())
        else { return nil }
    }

    deinit {
        dwfl_end(dwfl)
        callbacks.deallocate()
        threadCallbacks.deallocate()
    }

    /// Innermost first; nil where the walk did not come to the stack's end.
    func frames(_ registers: user_regs_struct) -> [Frame]? {
        self.registers = registers
        frames = []
        let status = dwfl_getthread_frames(
            dwfl, pid,
            { frame, context in
                var address: Dwarf_Addr = 0
                var isActivation = false
                guard let context, let frame, dwfl_frame_pc(frame, &address, &isActivation) else { return -1 }
                return walk(context).append(Frame(address: address, isActivation: isActivation))
            }, Unmanaged.passUnretained(self).toOpaque())
        return status == 0 ? frames : nil
    }

    /// libdw's status: 0 to go on.
    private func append(_ frame: Frame) -> Int32 {
        frames.append(frame)
        return frames.count < Self.depth ? 0 : -1
    }

    /// In the order of the psABI's DWARF numbers.
    private func setRegisters(_ thread: OpaquePointer?) -> Bool {
        let r = registers
        let values: [Dwarf_Word] = [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14,
            r.r15,
            r.rip,
        ].map { Dwarf_Word($0) }
        guard let thread else { return false }
        return values.withUnsafeBufferPointer {
            guard let base = $0.baseAddress else { return false }
            return dwfl_thread_state_registers(thread, 0, UInt32($0.count), base)
        }
    }

    /// The file that the process mapped, unless another one stands there by now: then −1. Its path is one in the process's
    /// mount namespace, yet seen from our root where it is in ours.
    private static func open(_ mapping: Mapping, of pid: Int32) -> Int32 {
        for path in ["/proc/\(pid)/root\(mapping.path)", mapping.path] {
            let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
            guard file >= 0 else { continue }
            var status = stat()
            if fstat(file, &status) == 0, status.st_ino == mapping.inode { return file }
            close(file)
        }
        return -1
    }
}

private func walk(_ context: UnsafeMutableRawPointer) -> StackWalk {
    Unmanaged<StackWalk>.fromOpaque(context).takeUnretainedValue()
}
