import Glibc
import HeapRecorder
import Testing

@Suite struct SamplingTests {
    @Test(arguments: [1e-300, 1e-16, 0.1, 0.5, 0.999_999, 1, 1.000_001, 1.5, 2, 10, 1e9, 1e300])
    func logarithm(x: Double) {
        #expect(abs(hr_log(x) - log(x)) <= 1e-12 * max(1, abs(log(x))))
    }

    @Test(arguments: [0, 1e-9, 1e-4, 0.1, 0.693, 1, 5, 30, 300, 699, 1000])
    func exponential(x: Double) {
        #expect(abs(hr_exp_minus(x) - exp(-x)) <= 1e-12 * exp(-x) + 1e-304)
    }

    @Test func gapsAreExponential() {
        var state: UInt64 = 42
        let n = 200_000
        let gaps = (0..<n).map { _ in Double(hr_gap(&state, 65536)) }
        let mean = gaps.reduce(0, +) / Double(n)
        let beyond = Double(gaps.count { $0 > 3 * 65536 }) / Double(n)
        #expect(abs(mean / 65536 - 1) < 4 / Double(n).squareRoot())
        #expect(abs(beyond - exp(-3)) < 4 * (exp(-3) / Double(n)).squareRoot())
        #expect(gaps.min() ?? 0 >= 1)
    }

    @Test(arguments: [(1, 65536), (16, 65536), (4096, 65536), (65536, 65536), (10_000_000, 65536), (100, 2)])
    func weightIsTheInverseProbability(size: UInt64, interval: UInt64) {
        let probability = -expm1(-Double(size) / Double(interval))
        #expect(abs(hr_weight(size, interval) * probability - 1) < 1e-9)
    }

    @Test func everythingIsSampledAtIntervalOne() {
        var state: UInt64 = 7
        #expect(hr_gap(&state, 1) == 0)
        #expect(hr_weight(0, 1) == 1)
        #expect(hr_weight(8, 1) == 1)
    }
}
