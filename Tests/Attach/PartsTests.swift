import CLinux
import Glibc
import RemoteProcess
import Testing

@testable import Attach

@Suite struct PartsTests {
    @Test func memoryMaps() throws {
        let map = MemoryMap(
            """
            55d0a0000000-55d0a0001000 r--p 00000000 fe:01 131 /opt/a b/service (deleted)
            55d0a0001000-55d0a0003000 r-xp 00001000 fe:01 131 /opt/a b/service (deleted)
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0 
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
            no mapping
            """)
        #expect(map.mappings.count == 4)
        #expect(map.images.map(\.path) == ["/opt/a b/service"])
        #expect(map.mapping(at: 0x55d0_a000_2fff)?.isExecutable == true)
        #expect(map.mapping(at: 0x55d0_a000_3000) == nil)
        #expect(map.mapping(at: 0x7f00_0000_0000)?.isFile == false)
        #expect(map.mapping(at: 0x7ffc_0000_0010)?.path == "[stack]")
    }

    private func stopped(in call: Int, result: Int64) -> user_regs_struct {
        var registers = user_regs_struct()
        registers.rip = 1000
        registers.orig_rax = numericCast(call)
        registers.rax = UInt64(bitPattern: result)
        return registers
    }

    @Test func interruptedCallsAreTakenUpAgain() {
        for (call, result) in [(SystemCall.read, -512), (SystemCall.futex, -516), (SystemCall.epollWait, -4)] {
            let home = SystemCall.resumed(stopped(in: call, result: Int64(result)), code: [])
            #expect(home?.rip == 998)
            #expect(home.map { Int($0.rax) } == call)
            #expect(home?.orig_rax == .max)
        }
        // A result stands, also an EINTR that the program may have been meant to see.
        for (call, result) in [(SystemCall.read, 17), (SystemCall.poll, 0), (SystemCall.wait4, -4)] {
            let home = SystemCall.resumed(stopped(in: call, result: Int64(result)), code: [])
            #expect(home?.rip == 1000)
            #expect(home?.rax == UInt64(bitPattern: Int64(result)))
        }
    }

    @Test func aCallContinuedBeforeIsKnownByItsCode() {
        let again = stopped(in: SystemCall.restart, result: -516)
        #expect(SystemCall.resumed(again, code: [0xb8, 7, 0, 0, 0]).map { Int($0.rax) } == SystemCall.poll)
        #expect(SystemCall.resumed(again, code: [0x90, 7, 0, 0, 0]) == nil)
        #expect(SystemCall.resumed(again, code: [0xb8, 1, 0, 0, 0]) == nil)
    }

    @Test func extendedStateIsAsLargeAsWhatIsUsed() throws {
        var image = [UInt8](repeating: 7, count: 11_008)
        image.replaceSubrange(512..<520, with: [3, 0, 0, 0, 0, 0, 0, 0])
        let state = try #require(ExtendedState(image))
        #expect(state.bytes.count == 580)
        #expect(number(state.bytes, at: 464, size: 4) == 0x4650_5853)
        #expect(number(state.bytes, at: 480, size: 4) == 576)
        #expect(ExtendedState(Array(image[..<500])) == nil)
    }

    @Test func aSignalFrameHasItsSize() {
        #expect(SignalFrame(registers: user_regs_struct(), mask: 1).bytes.count == Int(SignalFrame.size))
    }
}
