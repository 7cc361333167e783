import AgentCore
public import HeapLedger
import HeapProfile
import LinuxMemory

/// `heaptide probe`: a running probe is asked and told.
public enum ProbeControl {
    /// Gives the orders to the probe in `pid` and returns what it says of itself now. It follows at its next sample.
    public static func tell(
        _ pid: Int32, _ orders: [ProbeOrder], ledgerFolder: String?
    ) throws(AgentError) -> String {
        let key: ProcessKey
        do { key = ProcessKey(pid: pid, startTicks: try ProcFS().process(pid).startTicks) } catch {
            throw AgentError(.processUnreadable, "\(error)")
        }
        let place = LedgerPlace(of: key, given: ledgerFolder)
        guard let path = LedgerFolder(path: place.folder).ledgers(of: key).first else {
            throw AgentError(.processUnreadable, place.absence(of: key))
        }
        do {
            guard try !LedgerFile(path: path).sampling().isDetached else {
                throw AgentError(
                    .processUnreadable,
                    "the probe of process \(pid) was detached: bring it back by `heaptide attach \(pid)`")
            }
            for order in orders { try LedgerFile.give(order, to: path) }
            return describe(try LedgerFile(path: path).sampling(), path, orders)
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(.processUnreadable, "\(error)")
        }
    }

    private static func describe(_ sampling: Sampling, _ path: String, _ orders: [ProbeOrder]) -> String {
        let interval = describe(interval: sampling.interval)
        let mean =
            sampling.slowPathCount > 0 ? sampling.slowPathSeconds / Double(sampling.slowPathCount) * 1e6 : 0
        let cost = "\((mean * 100).rounded() / 100) µs each"
        return """
            \(sampling.isPaused ? "paused" : "recording")  \(interval); the widest so far was \
            \(ByteSize.text(Double(sampling.widestInterval)))
            taken      \(sampling.samplesTaken) samples, \(cost); \(sampling.samplesPaused) left out while paused
            ledger     \(path)

            """ + orders.compactMap { pending($0, sampling) }.joined()
    }

    private static func describe(interval: UInt64) -> String {
        interval == 1 ? "every allocation" : "one in \(ByteSize.text(Double(interval)))"
    }

    /// Nobody should think that it did not work.
    private static func pending(_ order: ProbeOrder, _ sampling: Sampling) -> String? {
        guard case .interval(let bytes) = order, bytes != sampling.interval else { return nil }
        return "ordered    \(describe(interval: bytes)) at the finest, from its next sample on\n"
    }
}
