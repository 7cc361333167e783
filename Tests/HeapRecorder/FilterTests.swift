import HeapRecorder
import TestSupport
import Testing

extension RecorderTests {
    /// What a free is told of its block before anybody looks for its sample.
    @Suite struct Filter {
        private let recording = Recording()

        private func hasSample(_ address: UInt) -> Bool { !hr_is_ruled_out(UnsafeRawPointer(bitPattern: address)) }

        /// Some 640 bytes share a cell; a sample is known by its tag and its hash, also after others shared the cell with it.
        @Test func aSampleIsToldFromItsNeighbours() {
            let blocks = (0..<16).map { 0x7000_0000_0000 + UInt($0) * 16 }
            recording.record(blocks[3], size: 1, stack: [1])
            #expect(blocks.indices.filter { hasSample(blocks[$0]) } == [3])
            recording.record(blocks[9], size: 1, stack: [1])
            #expect(blocks.indices.filter { hasSample(blocks[$0]) } == [3, 9])
            recording.free(blocks[9])
            #expect(blocks.indices.filter { hasSample(blocks[$0]) } == [3])
            recording.free(blocks[3])
            #expect(!blocks.contains(where: hasSample))
        }

        /// Whatever comes and goes: seven blocks to a cell at the most, half of them live, so that tags come and go as well.
        @Test func noSampleIsEverRuledOut() {
            var random = SplitMix64(seed: 7)
            let blocks = (0..<2048).map { 0x7100_0000_0000 + UInt($0) * 96 }
            var isLive = [Bool](repeating: false, count: blocks.count)
            var ruledOut = 0
            for _ in 0..<20_000 {
                let i = blocks.indices.randomElement(using: &random)!
                isLive[i] ? recording.free(blocks[i]) : recording.record(blocks[i], size: 1, stack: [1])
                isLive[i].toggle()
                let other = blocks.indices.randomElement(using: &random)!
                ruledOut += isLive[other] && !hasSample(blocks[other]) ? 1 : 0
            }
            #expect(ruledOut == 0)
            for i in blocks.indices where isLive[i] { recording.free(blocks[i]) }
            #expect(!blocks.contains(where: hasSample))
        }

        /// Up to seven with their tags, up to 127 without. Beyond that it stays full, also for tests to come: this one is
        /// nobody else's.
        @Test(arguments: [6, 7, 8, 9, 126, 127, 128, 200])
        func aCellForgetsNobody(count: Int) {
            let blocks = (0..<count).map { 0x7200_0080_0000 + UInt($0) }
            for block in blocks { recording.record(block, size: 1, stack: [1]) }
            #expect(blocks.count(where: hasSample) == count)
            for block in blocks.dropLast() { recording.free(block) }
            #expect(hasSample(blocks.last!))
            recording.free(blocks.last!)
            #expect(!blocks.contains(where: hasSample))
        }
    }
}
