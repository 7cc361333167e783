import HeapGraph
import HeapProfile
import TestSupport
import Testing

@testable import HeapWalk

/// Words that nobody would write but to harm: every reader of collections takes them, and says nothing that cannot be.
@Suite struct HostileWordsTests {
    /// Side by side, the last of them of 5 GiB.
    private static let blocks: ContiguousArray<HeapBlock> = {
        var blocks: ContiguousArray<HeapBlock> = []
        var address: UInt64 = 0x5555_0000_0010
        for number in 0..<200 as Range<UInt64> {
            let sizes: [UInt64] = [24, 40, 72, 104, 520, 4104, 100_008]
            let size: UInt64 = number == 199 ? 5 << 30 : sizes[Int(number % 7)]
            blocks.append(HeapBlock(address: address, size: size))
            address += size + 8
        }
        return blocks
    }()
    private let index = BlockIndex(Self.blocks)

    /// One of the numbers at which something may break: of addresses, sizes, and what a word can hold.
    private func word(_ random: inout SplitMix64) -> UInt64 {
        let block = Self.blocks.randomElement(using: &random) ?? Self.blocks[0]
        let near = UInt64.random(in: 0...16, using: &random)
        return switch Int.random(in: 0..<12, using: &random) {
        case 0: near
        case 1: .max - near
        case 2: 1 << 63 - near
        case 3: 1 << UInt64.random(in: 0..<64, using: &random)
        case 4: UInt64(CollectionLayout.loadOfOne)
        case 5: block.size / max(1, near)
        case 6: block.address + 8 * near
        case 7: block.end - near
        case 8: block.address + block.size / 8 * 8
        case 9: block.size | 1
        case 10: block.address &- near
        default: block.address
        }
    }

    /// A Vec or text of Rust, a vector, a text of libstdc++ or of libc++, of any block.
    private func imitation(_ random: inout SplitMix64) -> [UInt64] {
        let block = Bool.random(using: &random) ? Self.blocks[199] : Self.blocks.randomElement(using: &random)!
        let room = block.size / UInt64.random(in: 1...16, using: &random)
        let length = UInt64.random(in: 0...room, using: &random)
        return switch Int.random(in: 0..<4, using: &random) {
        case 0: [room, block.address, length]
        case 1: [block.address, block.address + length, block.end]
        case 2: [block.address, length, room]
        default: [room | 1, length, block.address]
        }
    }

    @Test func ofObjects() {
        var found = 0
        for seed in 0..<3000 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            let words = (0..<40).map { _ in word(&random) } + imitation(&random) + imitation(&random)
            var scan = CollectionScan(index, CollectionLibraries(hasRust: true, hasLibcxx: true))
            words.withUnsafeBufferPointer {
                scan.look(at: $0, address: Self.blocks[6].address, home: 6)
                scan.look(at: $0, address: 0x1000, home: nil)
            }
            var builder = HeapGraph.Builder()
            for _ in Self.blocks {
                for _ in 0..<3 { builder.addEdge(to: UInt32.random(in: 0..<200, using: &random)) }
                builder.endNode()
            }
            let firstWords = ContiguousArray(Self.blocks.map { _ in word(&random) })
            var collections = Collections(
                scan.candidates, index, builder.finish(), firstWords, elementSizes: [:])
            let vectors = FoundVector.settled(scan.vectors, index)
            #expect(vectors.allSatisfy { $0.bytes <= index.blocks[Int($0.block)].size }, "seed \(seed)")
            #expect(zip(vectors, vectors.dropFirst()).allSatisfy { $0.block < $1.block }, "seed \(seed)")
            #expect(scan.texts.used.allSatisfy { $0.bytes < index.blocks[Int($0.block)].size }, "seed \(seed)")
            collections.add(vectors, elementSizes: [:], of: Self.blocks.count)
            found += collections.all.count
        }
        #expect(found > 1000)
    }

    @Test func ofDeques() {
        var told = 0
        for seed in 0..<3000 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            let map = Self.blocks[5].address
            var words = [
                map, 64, map + 5000, map + 4990, map + 5494, map + 8, map + 9010, map + 9000, map + 9504, map + 24,
            ]
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                words[Int.random(in: words.indices, using: &random)] = word(&random)
            }
            for layout in [CollectionLayout.deque, .libcxxDeque, .vector, .rustVec, .rustDeque, .tree, .hashTable] {
                guard let container = layout.container(words) else { continue }
                told += 1
                #expect(container.count < 1 << 40, "seed \(seed)")
            }
        }
        #expect(told > 1000)
    }
}
