import HeapProfile
import TestSupport
import Testing
import TimeSeries

@testable import LeakAnalysis

@Suite struct LiveHistoryTests {
    /// The sum on the common grid equals what the blocks themselves say, wherever a checkpoint lies.
    @Test(arguments: [7.9, 15, 33, 100]) func sumOfCheckpointsIsTheLiveMemory(duration: Double) {
        for seed in 0..<5 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            var heap = HeapSimulator(seed: seed, duration: duration, interval: 1)
            var blocks: [(birth: Double, death: Double, size: Double)] = []
            for _ in 0..<5 {
                // Some sites fall silent early and keep a shorter period.
                let site = heap.addSite(["malloc", "f()"])
                let end = Double.random(in: 0.1...duration, using: &random)
                for _ in 0..<40 {
                    let birth = Double.random(in: 0..<end, using: &random)
                    let death = birth + Double.random(in: 0..<duration, using: &random)
                    let block = (birth, death, Double(Int.random(in: 1...1000, using: &random)))
                    blocks.append(block)
                    heap.allocate(site, size: block.2, at: birth, until: death)
                }
            }
            let sites = heap.finish().profile.sites
            let points = LiveHistory(sites, duration: duration).points
            let period = max(0.25, sites.map(\.historyPeriod).max() ?? 0)
            #expect(points.last.map { abs($0.time - duration) < 1e-9 } == true)
            for point in points {
                // Between two checkpoints the value is anything that was there within a period.
                let around = stride(
                    from: point.time - period, through: min(duration, point.time + period), by: period / 10
                ).map {
                    time in blocks.reduce(0) { $0 + ($1.birth <= time && time < $1.death ? $1.size : 0) }
                }
                #expect(point.value >= (around.min() ?? 0) - 1000 && point.value <= (around.max() ?? 0) + 1000)
            }
        }
    }

    @Test func nothingIsKnownOfNothing() {
        #expect(LiveHistory([], duration: 10).points.isEmpty)
        #expect(LiveHistory([Site(stack: [])], duration: 10).points.isEmpty)
    }
}
