import Foundation
import Glibc
import HeapLedger
import HeapProfile
import HeapRecorder
import Testing

extension RecorderTests {
    @Suite struct Writing {
        @Test func everyBlockIsCountedExactly() throws {
            let recording = Recording()
            for i in 0..<100 { recording.record(0x10000 + UInt(i) * 64, size: 123 * 8, stack: [0x1111, 0x2222]) }
            for i in 0..<40 { recording.free(0x10000 + UInt(i) * 64) }
            recording.record(0x90000, size: 17, stack: [0x3333, 0x2222])
            let profile = try recording.profile()
            let site = try #require(profile.sites.first { $0.allocated.count == 100 })
            #expect(site.allocated.bytes == 100 * 984)
            #expect(site.freed.bytes == 40 * 984)
            #expect(site.live.bytes == 60 * 984)
            #expect(site.live.count == 60)
            #expect(site.lifetimes.reduce(0, +) == 40)
            #expect(profile.samples.count == 61)
            #expect(profile.sampling.isExact)
            #expect(profile.process.pid == getpid())
            #expect(!profile.process.exited)
        }

        @Test func anUnknownBlockIsNotTaken() {
            let recording = Recording()
            recording.record(0x10000, size: 8, stack: [1])
            #expect(!hr_take(UnsafeRawPointer(bitPattern: 0x20000)).found)
            #expect(hr_take(UnsafeRawPointer(bitPattern: 0x10000)).found)
            #expect(!hr_take(UnsafeRawPointer(bitPattern: 0x10000)).found)
        }

        @Test func aFailedReallocPutsTheSampleBackAsItWas() throws {
            let recording = Recording()
            recording.record(0x10000, size: 77, stack: [0xABC])
            var taken = hr_take(UnsafeRawPointer(bitPattern: 0x10000))
            #expect(try recording.profile().samples.isEmpty)
            hr_put_back(UnsafeRawPointer(bitPattern: 0x10000), &taken)
            let profile = try recording.profile()
            #expect(profile.samples.map(\.size) == [77])
            #expect(profile.samples.first?.birth == Double(taken.sample.birth_ns) / 1e9)
        }

        @Test func exitIsSaid() throws {
            let recording = Recording()
            recording.record(0x10000, size: 8, stack: [1])
            hr_mark_exited()
            #expect(try recording.profile().process.exited)
        }

        @Test func theFileIsPrivateAndItsBlocksAreReserved() throws {
            let recording = Recording(ledgerSize: 3 << 20)
            recording.record(0x10000, size: 8, stack: [1])
            var status = stat()
            #expect(stat(recording.path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(status.st_size == 3 << 20)
            #expect(status.st_blocks * 512 >= 3 << 20)
            #expect(stat(recording.directory, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
        }

        @Test func modulesCarryBuildIDsAndCoverTheirCode() throws {
            let recording = Recording()
            recording.record(0x10000, size: 8, stack: [1])
            let libc = try #require(try recording.profile().modules.first { $0.path.hasSuffix("/libc.so.6") })
            #expect(libc.buildID.count == 40)
            let address = UInt64(UInt(bitPattern: dlsym(nil, "getpid")))
            #expect(libc.start <= address && address < libc.end)
        }

        /// A block that was freed past the probe is known to be gone when its address comes again.
        @Test func anAddressThatComesAgainWasFreed() throws {
            let recording = Recording()
            for _ in 0..<100 { recording.record(0x10_0000, size: 50, stack: [1]) }
            let site = try #require(try recording.profile().sites.first { $0.live.count > 0 })
            #expect(site.live.count == 1 && site.freed.count == 99)
            #expect(try recording.profile().samples.count == 1)
        }

        @Test func manyThreadsLeaveNothingBehind() throws {
            let recording = Recording(ledgerSize: 8 << 20)
            recording.record(0x10000, size: 0, stack: [1])  // makes the ledger: who comes meanwhile passes by
            recording.free(0x10000)
            let perThread = 20_000
            DispatchQueue.concurrentPerform(iterations: 8) { thread in
                for i in 0..<perThread {
                    let address = UInt(thread + 1) << 32 | UInt(i + 1) << 6
                    let frame = UInt64(i % 50 + 1)
                    withUnsafePointer(to: frame) {
                        hr_record(UnsafeMutableRawPointer(bitPattern: address), 64, 1, $0, 1, 0)
                    }
                    if i % 10 != 0 {
                        var taken = hr_take(UnsafeRawPointer(bitPattern: address))
                        hr_freed(&taken)
                    }
                }
            }
            let profile = try recording.profile()
            let live = profile.sites.map(\.live.count).reduce(0, +)
            #expect(live == Double(8 * perThread / 10))
            #expect(profile.sites.map(\.allocated.count).reduce(0, +) == Double(8 * perThread + 1))
            #expect(profile.sampling.samplesDropped == 0)
        }
    }
}
