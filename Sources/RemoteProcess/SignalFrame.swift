package import CLinux
import Glibc

/// What rt_sigreturn(2) takes from the stack: all of a thread's state (x86-64; asm/ucontext.h, asm/sigcontext.h).
///
/// The kernel reads it as it would after a signal handler: registers, signal mask and vector state are all set by one
/// system call that needs no tracer. So a thread that was sent on its way with a chain of such frames comes home by itself.
package struct SignalFrame {
    package static let size: UInt64 = 304

    package var registers: user_regs_struct
    /// Signals blocked from then on.
    package var mask: UInt64
    /// Where the XSAVE image is, 64-byte aligned; 0 for the state of a new thread.
    package var extendedState: UInt64 = 0

    package init(registers: user_regs_struct, mask: UInt64, extendedState: UInt64 = 0) {
        self.registers = registers
        self.mask = mask
        self.extendedState = extendedState
    }

    package var bytes: [UInt8] {
        let r = registers
        let selectors = r.cs & 0xffff | (r.ss & 0xffff) << 48
        // uc_flags: the image has the extended format, ss is valid and to be restored as it is.
        let flags: UInt64 = (extendedState == 0 ? 0 : 1) | 2 | 4
        // A mode of the alternate stack that there is none of: the kernel leaves the thread's as it is.
        let noChange: UInt64 = 0x7fff_0000
        var words: [UInt64] = [flags, 0, 0, noChange, 0]
        words += [r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15]
        words += [r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp, r.rip]
        words += [r.eflags, selectors, 0, 0, 0, 0, extendedState]
        words += [UInt64](repeating: 0, count: 8)
        return littleEndian(words + [mask])
    }
}

/// A thread's XSAVE image, made ready for a signal frame.
package struct ExtendedState {
    package let bytes: [UInt8]

    /// `image`: as ptrace gives it, uncompacted (Intel SDM volume 1, 13.4). nil where it is none.
    package init?(_ image: [UInt8]) {
        guard image.count >= 576 else { return nil }
        let present = number(image, at: 512, size: 8)
        // The image has room for parts that this thread was never allowed to use; the kernel wants no more than needed.
        var end: UInt64 = 576
        for index in 2..<UInt32(63) where present >> UInt64(index) & 1 == 1 {
            end = max(end, UInt64(clinux_extended_state_end(index)))
        }
        guard end <= image.count else { return nil }
        // struct _fpx_sw_bytes, in the bytes that the processor leaves to software.
        let software: [UInt64] = [0x4650_5853 | (end + 4) << 32, present | 3, end, 0, 0, 0]
        var bytes = Array(image[..<Int(end)])
        bytes.replaceSubrange(464..<512, with: littleEndian(software))
        self.bytes = bytes + [0x45, 0x58, 0x50, 0x46]  // FP_XSTATE_MAGIC2
    }
}

extension TracedThread {
    package func extendedState() throws(SystemError) -> ExtendedState {
        var image = [UInt8](repeating: 0, count: 64 << 10)
        var size = image.count
        try check(image.withUnsafeMutableBytes { clinux_trace_extended_state(id, $0.baseAddress, &size) })
        guard let state = ExtendedState(Array(image[..<size])) else { throw SystemError(number: EINVAL) }
        return state
    }
}
