import TestSupport
import Testing

@testable import LinuxMemory

@Suite struct ParserTests {
    @Test func keyedNumbers() {
        let text =
            "anon 4096\nVmRSS:\t  12 kB\nName:\tx1\n\nPss_Anon:  7 kB\nUid:\t5\t6\n"
            + "huge 18446744073709551616\nlone\n"
        let numbers = KeyedNumbers(Array(text.utf8))
        #expect(numbers.values == ["anon": 4096, "VmRSS": 12 << 10, "Pss_Anon": 7 << 10, "Uid": 5])
        #expect(KeyedNumbers(Array("VmRSS: 18446744073709551615 kB".utf8))["VmRSS"] == .max)
    }

    @Test func limits() {
        let cases: [(String, UInt64?)] = [
            ("max\n", nil), ("9223372036854771712\n", nil), ("9223372036854710272\n", nil), ("", nil), ("-1\n", nil),
            ("99999999999999999999\n", nil), ("1073741824\n", 1 << 30), ("0\n", 0),
        ]
        for (text, limit) in cases { #expect(parseLimit(Array(text.utf8)) == limit, "\(text)") }
    }

    @Test func unreclaimableStaysWithinBounds() {
        let stat = KeyedNumbers(Array("inactive_file 500\nfile_dirty 18446744073709551615\nactive_file 700\n".utf8))
        #expect(unreclaimable(current: 100, stat: stat, version: 2) == 100)
        #expect(unreclaimable(current: 100, stat: KeyedNumbers([]), version: 1) == 100)
    }

    @Test func pressure() {
        #expect(parsePressure(Array("some avg10=12.50 avg60=0.00\nfull avg10=9.00\n".utf8)) == 12.5)
        for bad in ["", "full avg10=1.0", "some avg60=1", "some avg10=nan", "some avg10=-1", "some avg10=1e9"] {
            #expect(parsePressure(Array(bad.utf8)) == nil, "\(bad)")
        }
    }

    @Test func mountLines() {
        let good = "35 31 0:32 /docker/a /sys/fs/cgroup/memory rw shared:7 master:1 - cgroup cgroup rw,memory,x"
        let mount = CgroupMount(line: Array(good.utf8)[...])
        #expect(mount?.version == 1 && mount?.root == "/docker/a" && mount?.folder == "/sys/fs/cgroup/memory")
        for bad in [
            "", "-", "35 31 0:32 / /m rw -", "35 31 0:32 / /m rw - cgroup2", "35 31 0:32 / /m rw cgroup2 cgroup2 rw",
            "35 31 0:32 / /m rw - cgroup cgroup rw,cpu", "35 31 0:32 / /m rw - tmpfs memory rw,memory",
        ] { #expect(CgroupMount(line: Array(bad.utf8)[...]) == nil, "\(bad)") }
    }

    @Test func pathsThatClimbOutStayOut() {
        let membership = CgroupMembership(Array("0::/../../etc\n4:memory:relative\nx\n".utf8))
        #expect(membership.v1 == nil && membership.v2 == "/../../etc")
        let line = Array("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw".utf8)
        let mount = CgroupMount(line: line[...])
        #expect(mount.map { CgroupMembership.candidates(for: "/../../etc", in: $0) } == [])
    }
}

/// Every parser meets its valid inputs with bytes changed, cut, doubled and put in: none may trap, and what they give
/// keeps to its promises. Seeds are fixed.
@Suite struct FuzzTests {
    private let seeds: [String] = {
        let files = merge(
            processFiles(7), cgroupFiles(7, version: 1, path: "/a/b"), cgroupFiles(7, version: 2, path: "/../x"),
            v1("a", current: 200), v2("b", current: 300, max: "400"))
        return files.sorted { $0.key < $1.key }.map(\.value)
    }()

    private func mutate(_ text: String, _ random: inout SplitMix64) -> [UInt8] {
        let interesting = Array("0123456789 \t\n:()-/\\.,=kBmax\0".utf8) + [0x80, 0xff]
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[at] = interesting.randomElement(using: &random) ?? 0
            case 2: bytes.removeSubrange(at...)
            case 3: bytes.insert(contentsOf: Array("99999999999999999999".utf8), at: at)
            default: bytes.insert(contentsOf: bytes[at...].prefix(40), at: at)
            }
        }
        return bytes
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func parsers(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<200 {
            for text in seeds {
                let bytes = mutate(text, &random)
                let numbers = KeyedNumbers(bytes)
                let current = UInt64.random(in: 0...(.max), using: &random)
                for version in [1, 2] {
                    #expect(unreclaimable(current: current, stat: numbers, version: version) <= current)
                }
                if let stat = ProcessStat(bytes) { #expect(stat.cpuSeconds >= 0 && stat.cpuSeconds.isFinite) }
                _ = SmapsRollup(numbers)
                if let limit = parseLimit(bytes) { #expect(limit < 1 << 60) }
                if let pressure = parsePressure(bytes) { #expect((0...100).contains(pressure)) }
                let membership = CgroupMembership(bytes)
                for mount in CgroupMount.all(bytes) {
                    for path in [membership.v1, membership.v2, "/a/../b"].compactMap({ $0 }) {
                        let found = CgroupMembership.candidates(for: path, in: mount)
                        #expect(!found.contains { $0.split(separator: "/").contains("..") })
                    }
                }
            }
        }
    }

    /// The whole reader over damaged trees: a value or a one-line error.
    @Test func trees() throws {
        var random = SplitMix64(seed: 11)
        let files = merge(
            processFiles(7), cgroupFiles(7, version: 2, path: "/a/b"), v2("sys/fs/cgroup/a", current: 500, max: "600"),
            v2("sys/fs/cgroup/a/b", current: 300, max: "400"), ["proc/7/smaps_rollup": "Rss: 4 kB\nPss: 2 kB\n"])
        let tree = try FixtureTree(files)
        for _ in 0..<100 {
            for (path, text) in files.sorted(by: { $0.key < $1.key }) where Int.random(in: 0..<4, using: &random) == 0 {
                try tree.write(path, mutate(text, &random))
            }
            for attempt in [
                { _ = try tree.process(7) }, { _ = try tree.rollup(7) },
                { _ = try tree.cgroup(of: 7) },
            ] as [() throws -> Void] {
                do { try attempt() } catch {
                    let description = (error as? LinuxMemoryError)?.description
                    #expect(description?.isEmpty == false && description?.contains("\n") == false)
                }
            }
            _ = tree.find(name: "service")
        }
    }
}
