import Symbolication
import TestSupport
import Testing

struct LookupsTests {
    /// Every range over a small address space, against a linear scan.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func rangesMatchALinearScan(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let lookups = Lookups((0..<12).map { _ in UInt64.random(in: 0..<24, using: &random) })
        #expect(lookups.addresses == Array(Set(lookups.addresses)).sorted())
        let some = lookups.indices.filter { _ in Bool.random(using: &random) }
        for start in 0..<26 as Range<UInt64> {
            for end in 0..<26 as Range<UInt64> {
                let inside = lookups.indices.filter { start <= lookups.addresses[$0] && lookups.addresses[$0] < end }
                #expect(Array(lookups.indices(from: start, to: end)) == inside)
                #expect(Array(lookups.slice(of: some, from: start, to: end)) == inside.filter(some.contains))
            }
        }
    }

    @Test func extremes() {
        let lookups = Lookups([0, UInt64.max])
        #expect(lookups.indices(from: 0, to: UInt64.max) == 0..<1)
        #expect(lookups.indices(from: UInt64.max, to: 0).isEmpty)
        #expect(lookups.firstIndex(from: 1) == 1)
        #expect(Lookups([UInt64]()).indices(from: 0, to: UInt64.max).isEmpty)
    }
}
