import CHeapLedger
import Glibc
import HeapLedger
import HeapProfile
import Synchronization
import TestSupport
import Testing

/// Ledgers that change while they are read.
@Suite struct LiveLedgerTests {
    /// A thread rewrites one bucket of samples as the probe does: reserve the key, write the fields, publish the key.
    /// All fields of a sample tell its number, so that a mixture of two would show.
    @Test func aReaderNeverSeesAMixtureOfTwoSamples() throws {
        var builder = LedgerBuilder(duration: 100_000)
        let site = builder.site([0x1234])
        for _ in 0..<32 { builder.live(site, size: 0, at: 0, weight: 1, thread: 0) }
        let keys = try #require(builder.boundaries.first { $0.name == "keys" }?.offset)
        let samples = try #require(builder.boundaries.first { $0.name == "samples" }?.offset)
        let folder = TemporaryFolder()
        let path = folder.file("1-1.ledger")
        write(builder.bytes(), to: path)

        let isDone = Atomic(false)
        let rounds = Atomic(0)
        let descriptor = open(path, O_RDWR)
        #expect(descriptor >= 0)
        let writer = Writer { [keys, samples] in
            func put<Value: BitwiseCopyable>(_ value: Value, at offset: Int) {
                withUnsafeBytes(of: value) { _ = pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
            }
            var number: UInt64 = 0
            while !isDone.load(ordering: .acquiring) {
                number += 1
                let slot = Int(number % 32)
                put(UInt64(HL_KEY_RESERVED), at: keys + slot * 8)
                let sample = samples + slot * MemoryLayout<hl_sample>.stride
                put(number, at: sample)  // size
                put(UInt32(truncatingIfNeeded: number), at: sample + 28)  // thread
                put(number * 1000, at: sample + 8)  // birth_ns
                put(0x1_0000 + number * 16, at: keys + slot * 8)
                rounds.store(Int(number), ordering: .releasing)
            }
        }
        writer.start()
        while rounds.load(ordering: .acquiring) == 0 { sched_yield() }
        let ledger = try LedgerFile(path: path)
        var seen: Set<UInt64> = []
        var reads = 0
        while reads < 2000 || seen.count < 100 {
            reads += 1
            let profile = ledger.profile()
            #expect(brokenPromises(of: profile) == [])
            for sample in profile.samples {
                seen.insert(sample.size)
                #expect((sample.birth * 1e6).rounded() == Double(sample.size))
                #expect(UInt32(bitPattern: sample.thread) == UInt32(truncatingIfNeeded: sample.size))
            }
        }
        isDone.store(true, ordering: .releasing)
        writer.join()
        close(descriptor)
    }

    @Test func aLedgerThatShrinksUnderItsReaderIsNoCrash() throws {
        let folder = TemporaryFolder()
        let path = folder.file("1-1.ledger")
        let builder = sampleLedger()
        write(builder.bytes(), to: path)
        let ledger = try LedgerFile(path: path)
        for (_, offset) in builder.boundaries.reversed() {
            #expect(truncate(path, offset) == 0)
            #expect(brokenPromises(of: ledger.profile()) == [])
            #expect(ledger.totals().live.bytes >= 0)
            #expect(ledger.identity().pid == 4242)
        }
        #expect(truncate(path, 0) == 0)
        #expect(ledger.identity().pid == 4242)
        #expect(brokenPromises(of: ledger.profile()) == [])
    }

    @Test func countersAreReadAfresh() throws {
        let folder = TemporaryFolder()
        let path = folder.file("1-1.ledger")
        let earlier = sampleLedger()
        var later = earlier
        later.live(1, size: 4096, at: 8, weight: 16)
        var sameTables = later
        sameTables.sites = earlier.sites
        sameTables.samples[40].key = 0
        write(sameTables.bytes(), to: path)
        let ledger = try LedgerFile(path: path)
        let before = ledger.totals().live.bytes
        #expect(ledger.profile().samples.count == 40)
        write(later.bytes(), to: path)
        #expect(ledger.totals().live.bytes == before + 65536)
        #expect(ledger.profile().samples.count == 41)
    }
}

/// One POSIX thread.
private final class Writer: @unchecked Sendable {
    private let body: () -> Void
    private var thread = pthread_t()

    init(_ body: @escaping () -> Void) { self.body = body }

    func start() {
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Writer>.fromOpaque(argument).takeUnretainedValue().body()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    func join() { pthread_join(thread, nil) }
}
