package import CLinux
import Glibc

/// The system call that a thread was stopped in, and how it is taken up again (signal(7), "Interruption of system calls").
package enum SystemCall {
    // Numbers of x86-64 that occur below.
    package static let read = 0, poll = 7, nanosleep = 35, accept = 43, recvfrom = 45, recvmsg = 47, select = 23,
        wait4 = 61
    package static let semop = 65, pause = 34, rtSigtimedwait = 128, rtSigsuspend = 130, futex = 202, ioGetevents = 208
    package static let restart = 219, semtimedop = 220, clockNanosleep = 230, epollWait = 232, waitid = 247,
        pselect = 270
    package static let ppoll = 271, epollPwait = 281, accept4 = 288, ioPgetevents = 333, epollPwait2 = 441

    /// Those in which threads wait for others, with nothing of the loader's or an allocator's half done.
    private static let waits: Set<Int> = [
        read, poll, nanosleep, accept, recvfrom, recvmsg, select, wait4, semop, pause, rtSigtimedwait, rtSigsuspend,
        futex, ioGetevents, semtimedop, clockNanosleep, epollWait, waitid, pselect, ppoll, epollPwait, accept4,
        ioPgetevents, epollPwait2,
    ]
    package static func isWait(_ number: Int) -> Bool { waits.contains(number) }

    /// They report any interruption as EINTR, also one of which the program is to know nothing.
    private static let reportInterruption: Set<Int> = [
        read, accept, accept4, recvfrom, recvmsg, semop, semtimedop, rtSigtimedwait, ioGetevents, ioPgetevents,
        epollWait, epollPwait, epollPwait2,
    ]

    /// They would be continued by restart_syscall(2), which rt_sigreturn(2) forbids.
    private static let continued: Set<Int> = [poll, nanosleep, futex, clockNanosleep]

    /// What a stopped thread would do next if nobody had stopped it, with orig_rax = −1: nothing more to be restarted.
    ///
    /// A wait with a relative timeout begins anew, which makes it longer, as a wait may always be. nil where that cannot be
    /// told: the thread must go on as it is.
    package static func resumed(_ stopped: user_regs_struct, code: [UInt8]) -> user_regs_struct? {
        var registers = stopped
        registers.orig_rax = .max
        guard let number = number(stopped) else { return registers }
        let result = Int64(bitPattern: UInt64(stopped.rax))
        switch result {
        case -512, -513, -514:  // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND
            return again(registers, number)
        case -516 where number == restart:  // ERESTART_RESTARTBLOCK, for the second time
            // `mov $number, %eax` stands before `syscall`, if the number is to be had at all.
            guard code.count == 5, code[0] == 0xb8 else { return nil }
            let first = Int(RemoteProcess.number(code, at: 1, size: 4))
            return continued.contains(first) ? again(registers, first) : nil
        case -516:
            return continued.contains(number) ? again(registers, number) : nil
        case -4 where reportInterruption.contains(number):
            return again(registers, number)
        default:
            return registers
        }
    }

    /// nil where the thread was not in a system call.
    package static func number(_ registers: user_regs_struct) -> Int? {
        let number = Int64(bitPattern: UInt64(registers.orig_rax))
        return number >= 0 ? Int(number) : nil
    }

    private static func again(_ registers: user_regs_struct, _ number: Int) -> user_regs_struct {
        var registers = registers
        registers.rax = numericCast(number)
        registers.rip -= 2  // the length of `syscall`
        return registers
    }
}
