import HeapLedger
import HeapProfile
import HeapRecorder
import TestSupport
import Testing

/// A recorder writing a ledger of its own for one test. The recorder is one per process: suites that use it are
/// nested in `RecorderTests`, which runs serially.
final class Recording {
    private let folder = TemporaryFolder()

    var directory: String { folder.file("ledgers") }

    init(interval: UInt64 = 1, ledgerSize: UInt64 = 2 << 20, seed: UInt64 = 1) {
        directory.withCString { path in
            var config = hr_config(
                directory: path, interval: interval, ledger_size: ledgerSize, seed: seed, is_attached: false)
            hr_configure(&config)
        }
    }

    deinit { hr_close() }

    var path: String { String(cString: hr_ledger_path()) }

    func record(_ address: UInt, size: Int, weight: Double = 1, stack: [UInt64]) {
        hr_record(UnsafeMutableRawPointer(bitPattern: address), size, weight, stack, UInt32(stack.count), 0)
    }

    func free(_ address: UInt) {
        var taken = hr_take(UnsafeRawPointer(bitPattern: address))
        hr_freed(&taken)
    }

    func profile() throws -> HeapProfile { try LedgerFile(path: path).profile() }
}

/// Parent of all suites that use the one recorder of this process.
@Suite(.serialized) struct RecorderTests {}
