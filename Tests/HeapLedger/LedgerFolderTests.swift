import Glibc
import HeapLedger
import TestSupport
import Testing

@Suite struct LedgerFolderTests {
    @Test func ledgersAreFoundByPidNewestFirst() throws {
        let folder = TemporaryFolder()
        for name in [
            "12-100.ledger", "12-900.ledger", "12-90.ledger", "123-5000.ledger", "12-1.ledger.partial", "12.ledger",
            "-12-1.ledger", "x-1.ledger", "12-x.ledger", "0-1.ledger", "99999999999-1.ledger", "notes.txt",
        ] { write([1], to: folder.file(name)) }
        let ledgers = LedgerFolder(path: folder.path)
        #expect(ledgers.ledgers(of: 12) == ["12-900.ledger", "12-100.ledger", "12-90.ledger"].map(folder.file))
        #expect(ledgers.ledgers(of: 1) == [])
        #expect(ledgers.all().first == folder.file("123-5000.ledger"))
        #expect(ledgers.all().count == 4)
        #expect(LedgerFolder(path: folder.path + "/").ledgers(of: 123) == [folder.file("123-5000.ledger")])
    }

    @Test func aFolderThatIsNotThereIsEmpty() {
        #expect(LedgerFolder(path: "/nonexistent/heaptide").all() == [])
    }

    @Test func theDefaultFolderIsTheUsers() {
        #expect(LedgerFolder.defaultPath(environment: ["HEAPTIDE_DIR": "/var/lib/x"]) == "/var/lib/x")
        #expect(LedgerFolder.defaultPath(environment: ["HEAPTIDE_DIR": ""]) == "/tmp/heaptide-\(getuid())")
        #expect(LedgerFolder.defaultPath(environment: [:]) == "/tmp/heaptide-\(getuid())")
    }
}
