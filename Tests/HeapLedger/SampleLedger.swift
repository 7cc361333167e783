import CHeapLedger
import HeapLedger
import HeapProfile
import TestSupport

/// A small service: a start-up table, a cache that recycles and a leak, in two modules.
func sampleLedger() -> LedgerBuilder {
    var ledger = LedgerBuilder(interval: 65536, duration: 8)
    ledger.module("/usr/bin/service", buildID: [0xAB, 0xCD], at: 0x40_0000, size: 0x1_0000)
    ledger.module("/usr/lib/libcache.so.1", buildID: [0x12], at: 0x7F00_0000, size: 0x8000, bias: 0x7EFF_0000)
    let table = ledger.site([0x40_0101, 0x40_0202])
    let cache = ledger.site([0x7F00_0040, 0x40_0303, 0x40_0404])
    let leak = ledger.site([0x40_0505, 0x40_0606], isCut: true, history: (1...20).map { Float($0) * 1000 })
    for i in 0..<10 { ledger.live(table, size: 4096, at: 0.01 * Double(i), weight: 16) }
    for i in 0..<40 { ledger.freed(cache, size: 512, at: 0.2 * Double(i), lifetime: 0.05, weight: 128) }
    for i in 0..<30 { ledger.live(leak, size: 140, at: 0.25 * Double(i), weight: 468, thread: UInt32(i % 3)) }
    return ledger
}

/// The profile of `bytes` as a file of its own.
func profile(of bytes: [UInt8], at now: UInt64? = nil) throws -> HeapProfile {
    let folder = TemporaryFolder()
    let path = folder.file("1-1.ledger")
    write(bytes, to: path)
    return try LedgerFile(path: path).profile(at: now)
}

/// What every profile promises whatever the bytes were, as the list of broken promises.
func brokenPromises(of profile: HeapProfile) -> [String] {
    var broken: [String] = []
    func expect(_ isKept: Bool, _ promise: String) {
        if !isKept { broken.append(promise) }
    }
    func isSound(_ estimate: Estimate) -> Bool {
        estimate.bytes.isFinite && estimate.bytes >= 0 && estimate.count.isFinite && estimate.count >= 0
    }
    expect(profile.duration.isFinite && profile.duration >= 0, "duration")
    expect(profile.sampling.interval >= 1 && (0...60).contains(profile.sampling.thinnings), "sampling")
    for site in profile.sites {
        expect(site.stack.allSatisfy { (-1..<profile.modules.count).contains(Int($0.module)) }, "stack")
        expect([site.allocated, site.freed, site.live].allSatisfy(isSound), "estimate")
        expect(site.history.count <= 32 && site.history.allSatisfy { $0.isFinite && $0 >= 0 }, "history")
        expect(site.historyPeriod > 0 && site.historyPeriod.isFinite, "period")
        expect(site.lifetimes.count == 32, "lifetimes")
        expect(0 <= site.first && site.first <= site.last && site.last <= profile.duration, "site times")
    }
    for sample in profile.samples {
        expect(profile.sites.indices.contains(Int(sample.site)), "sample site")
        expect(sample.weight.isFinite && sample.weight >= 1, "weight")
        expect(sample.birth >= 0 && sample.birth <= profile.duration, "birth")
    }
    expect(profile.warnings.allSatisfy(isOneLine), "warnings")
    return broken
}

func isOneLine(_ text: String) -> Bool { !text.isEmpty && !text.contains(where: \.isNewline) }
