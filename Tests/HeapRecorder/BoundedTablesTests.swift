import CHeapLedger
import Foundation
import HeapLedger
import HeapProfile
import HeapRecorder
import TestSupport
import Testing

extension RecorderTests {
    @Suite struct BoundedTables {
        /// Ten times more live blocks than the table has slots: it thins itself, and stays unbiased.
        @Test func thinningKeepsTheEstimateUnbiased() throws {
            let recording = Recording()
            let blocks = 150_000
            for i in 0..<blocks { recording.record(0x10_0000 + UInt(i) * 48, size: 100, stack: [UInt64(i % 3 + 1)]) }
            let profile = try recording.profile()
            let live = profile.samples.reduce(0.0) { $0 + Double($1.weight) }
            let sigma = Double(blocks) * (pow2(profile.sampling.thinnings) / Double(blocks)).squareRoot()
            #expect(profile.sampling.thinnings >= 3)
            #expect(abs(live - Double(blocks)) < 4 * sigma)
            #expect(profile.sampling.samplesThinned > 0)
            #expect(profile.sampling.interval == profile.sampling.firstInterval << UInt64(profile.sampling.thinnings))
            #expect(Double(profile.sampling.samplesDropped) < 0.002 * Double(blocks))
        }

        /// A block that was thinned away is freed without a trace; one that stayed is booked with its grown weight.
        @Test func frednessIsUnbiasedAfterThinning() throws {
            let recording = Recording()
            let blocks = 150_000
            for i in 0..<blocks { recording.record(0x10_0000 + UInt(i) * 48, size: 100, stack: [1]) }
            for i in 0..<blocks { recording.free(0x10_0000 + UInt(i) * 48) }
            let profile = try recording.profile()
            let freed = profile.sites.map(\.freed.count).reduce(0, +)
            let sigma = Double(blocks) * (pow2(profile.sampling.thinnings) / Double(blocks)).squareRoot()
            #expect(profile.samples.isEmpty)
            #expect(abs(freed - Double(blocks)) < 4 * sigma)
        }

        /// Against a dictionary, at all fillings up to where the table is thinned.
        @Test(arguments: [10, 300, 1000, 10_500]) func everySampleIsFoundWhereverItLives(most: Int) throws {
            let recording = Recording()
            var random = SplitMix64(seed: UInt64(most))
            var sizes: [UInt: UInt64] = [:]
            for size in 1...40_000 {
                let address = 0x10_0000 + UInt(random.next() % UInt64(2 * most)) * 48
                if let known = sizes.removeValue(forKey: address) {
                    let taken = hr_take(UnsafeRawPointer(bitPattern: address))
                    #expect(taken.found && taken.sample.size == known)
                    #expect(!hr_take(UnsafeRawPointer(bitPattern: address)).found)
                } else {
                    recording.record(address, size: size, stack: [1])
                    sizes[address] = UInt64(size)
                }
            }
            let profile = try recording.profile()
            #expect(profile.sampling.thinnings == 0 && profile.sampling.samplesDropped == 0)
            #expect(profile.samples.map(\.size).sorted() == sizes.values.sorted())
        }

        /// So that they stay in the caches: the rest of the table is never written to.
        @Test func fewSamplesUseLittleOfTheTable() throws {
            let recording = Recording()
            for i in 0..<20_000 {
                recording.record(0x10_0000 + UInt(i) * 4096, size: 1, stack: [1])
                if i >= 100 { recording.free(0x10_0000 + UInt(i - 100) * 4096) }
            }
            let bytes = try Data(contentsOf: URL(filePath: recording.path))
            let header = bytes.withUnsafeBytes { $0.loadUnaligned(as: hl_header.self) }
            let used = Int(header.samples_offset) + Int(header.samples_capacity) / 64 * MemoryLayout<hl_sample>.stride
            #expect(bytes[Int(header.samples_offset)..<used].contains { $0 != 0 })
            #expect(bytes[used...].allSatisfy { $0 == 0 })
        }

        /// As much of the ledger is faulted in as the process uses, once it has come to stay.
        @Test func theLedgerIsFaultedInAsItIsUsed() throws {
            let recording = Recording(ledgerSize: 16 << 20)
            let second: UInt64 = 1_000_000_000
            func settledPieces() -> Int { (0...10_000).first { _ in !hr_ledger_settle(second) } ?? .max }
            recording.record(0x10_0000, size: 1, stack: [1])
            #expect(!hr_ledger_settle(1000))
            #expect((5...20).contains(settledPieces()))
            #expect(try resident(recording.path) < 1 << 20)
            #expect(settledPieces() == 0)
            for i in 1..<20_000 { recording.record(0x10_0000 + UInt(i) * 48, size: 1, stack: [1]) }
            #expect(settledPieces() > 100)
            #expect(try resident(recording.path) > 6 << 20)
            #expect(settledPieces() == 0)
        }

        /// Bytes of the file that this process has in memory.
        private func resident(_ path: String) throws -> Int {
            let maps = String(decoding: contents(of: "/proc/self/smaps"), as: UTF8.self).split(separator: "\n")
            let start = try #require(maps.firstIndex { $0.hasSuffix(path) })
            let line = try #require(maps[start...].first { $0.hasPrefix("Rss:") })
            return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) * 1024
        }

        @Test func stacksWithoutRoomAreBookedTogetherAndCounted() throws {
            let recording = Recording()
            let stacks = 20_000
            for i in 0..<stacks {
                recording.record(0x10_0000 + UInt(i) * 64, size: 10, stack: (0..<30).map { UInt64(i * 31 + $0 + 1) })
                recording.free(0x10_0000 + UInt(i) * 64)
            }
            let profile = try recording.profile()
            #expect(profile.sampling.stacksLost > 0)
            #expect(profile.sites.map(\.allocated.count).reduce(0, +) == Double(stacks))
        }

        private func pow2(_ n: Int) -> Double { Double(sign: .plus, exponent: n, significand: 1) }
    }
}
