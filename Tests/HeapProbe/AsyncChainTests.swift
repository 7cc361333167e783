import Foundation
import HeapLedger
import HeapProfile
import Symbolication
import TestSupport
import Testing

/// Which functions await an allocation stands in a site's stack, though the physical stack ends in the executor.
@Suite struct AsyncChainTests {
    /// Size of a block, and the functions that its stack names, innermost first, others in between.
    private static let chains: [(size: UInt64, functions: [String])] = [
        (7001, ["store(_:)", "handler(_:)", "router(_:)", "server(_:)", "Chain.main()"]),
        (7101, ["Cache.put(_:)", "throughActor(_:)", "Chain.main()"]),
        (7103, ["store(_:)", "Cache.put(_:)", "throughActor(_:)", "Chain.main()"]),
        (7201, ["store(_:)", "handler(_:)", "throughGroup()"]),
        (7301, ["store(_:)", "handler(_:)", "throughLet()"]),
        (7303, ["store(_:)", "handler(_:)", "throughLet()"]),
        (7401, ["store(_:)", "handler(_:)", "throughStream()", "Chain.main()"]),
        (7501, ["throughContinuation()", "Chain.main()"]),
        (7601, ["sync(_:)", "throughSync()", "Chain.main()"]),
        (7603, ["sync(_:)", "neverSuspended()", "Chain.main()"]),
        (7701, ["store(_:)", "handler(_:)", "router(_:)", "server(_:)", "closure #1 in static Chain.main()"]),
    ]

    @Test(arguments: ["-O", "-Onone", "-O -static-stdlib"])
    func awaitingFunctionsAreOnTheStack(flags: String) throws {
        let probed = try Probed(swift: Self.program, flags: flags.split(separator: " ").map(String.init))
        #expect(try probed.run().output == "95822\n")
        let profile = try #require(try probed.profiles().first)
        var symbolicator = Symbolicator()
        let symbols = symbolicator.resolve(profile.sites.flatMap(\.stack), in: profile.modules)
        for chain in Self.chains {
            let sites = Set(profile.samples.filter { $0.size == chain.size }.map(\.site))
            #expect(!sites.isEmpty, "size \(chain.size)")
            for site in sites {
                let stack = profile.sites[Int(site)].stack.flatMap { symbols.frames(of: $0, in: profile.modules) }
                    .map(\.label)
                #expect(stack.holds(chain.functions), "\(chain.size): \(stack)")
                #expect(!stack.contains { $0.contains("swift_job_run") }, "\(chain.size): \(stack)")
            }
        }
    }

    private static let program = """
        import Dispatch

        @inline(never) func leak(_ size: Int) { escaped = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16) }
        nonisolated(unsafe) var escaped: UnsafeMutableRawPointer?

        @inline(never) func store(_ size: Int) async { await Task.yield(); leak(size) }
        @inline(never) func handler(_ size: Int) async -> Int { await store(size); return size }
        @inline(never) func router(_ size: Int) async -> Int { await handler(size) + 1 }
        @inline(never) func server(_ size: Int) async -> Int { await router(size) + 1 }

        actor Cache {
            var total = 0
            func put(_ size: Int) async { leak(size); total += 1; await store(size + 2) }
        }

        @inline(never) func throughActor(_ cache: Cache) async -> Int { await cache.put(7101); return 1 }

        @inline(never) func throughGroup() async -> Int {
            await withTaskGroup(of: Int.self) { group in
                for _ in 0..<3 { group.addTask { await handler(7201) } }
                var sum = 0
                for await value in group { sum += value }
                return sum
            }
        }

        @inline(never) func throughLet() async -> Int {
            async let first = handler(7301)
            async let second = handler(7303)
            return await first + second
        }

        @inline(never) func throughStream() async -> Int {
            let (stream, continuation) = AsyncStream<Int>.makeStream()
            Task { for _ in 0..<3 { await Task.yield(); continuation.yield(7401) }; continuation.finish() }
            var sum = 0
            for await size in stream { sum += await handler(size) }
            return sum
        }

        @inline(never) func throughContinuation() async -> Int {
            let size = await withCheckedContinuation { continuation in
                DispatchQueue.global().async { continuation.resume(returning: 7501) }
            }
            leak(size)
            return size
        }

        @inline(never) func sync(_ size: Int) -> Int { leak(size); return size }
        @inline(never) func throughSync() async -> Int { await Task.yield(); return sync(7601) }
        @inline(never) func neverSuspended() async -> Int { sync(7603) }

        @main struct Chain {
            static func main() async {
                var sum = await server(7001)
                sum += await throughActor(Cache())
                sum += await throughGroup()
                sum += await throughLet()
                sum += await throughStream()
                sum += await throughContinuation()
                sum += await throughSync()
                sum += await neverSuspended()
                let detached = Task.detached { await server(7701) }
                sum += await detached.value
                print(sum)
            }
        }
        """
}

extension [String] {
    /// Whether `parts` are parts of its elements, in this order.
    fileprivate func holds(_ parts: [String]) -> Bool {
        var rest = self[...]
        for part in parts {
            guard let index = rest.firstIndex(where: { $0.contains(part) }) else { return false }
            rest = rest[(index + 1)...]
        }
        return true
    }
}
