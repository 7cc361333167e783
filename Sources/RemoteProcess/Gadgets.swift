/// Pieces of libc's code that the frames run through.
package struct Gadgets {
    /// `mov $15, %rax; syscall`: rt_sigreturn(2).
    package let signalReturn: UInt64
    /// `syscall; ret`
    package let systemCall: UInt64
    /// `mov %rax, (%rbx); pop %rbx; ret`; without it what a function returned is not known.
    package let store: UInt64?

    package init?(_ libc: RemoteImage) {
        guard let signalReturn = libc.find([0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]),
            let systemCall = libc.find([0x0f, 0x05, 0xc3])
        else { return nil }
        self.signalReturn = signalReturn
        self.systemCall = systemCall
        store = libc.find([0x48, 0x89, 0x03, 0x5b, 0xc3])
    }
}
