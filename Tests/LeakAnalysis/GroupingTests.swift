import HeapProfile
import LeakAnalysis
import Testing

/// Which stacks become one suspect, and what a reader sees of them.
@Suite struct GroupingTests {
    /// One site that leaks 1 KB ten times a second for each stack, innermost frame first.
    private func suspects(
        _ stacks: [[String?]], showsFoldedFrames: Bool = false, heap: HeapSurvey? = nil
    ) -> [Suspect] {
        report(stacks, showsFoldedFrames: showsFoldedFrames, heap: heap).suspects
    }

    private func report(
        _ stacks: [[String?]], showsFoldedFrames: Bool = false, heap: HeapSurvey? = nil
    ) -> LeakReport {
        var profile = HeapProfile(
            process: ProcessIdentity(pid: 1), sampling: Sampling(firstInterval: 1, interval: 1), duration: 100,
            modules: [Module(path: "/bin/service")])
        var symbols = SymbolTable()
        var offsets: [String: UInt64] = [:]
        for (number, stack) in stacks.enumerated() {
            let addresses = stack.map { name in
                let offset = name.map { offsets[$0, default: 0x1000 + UInt64(offsets.count)] } ?? 0xABC
                if let name { offsets[name] = offset }
                let address = CodeAddress(module: 0, offset: offset)
                if let name {
                    symbols.frames[address] = [Frame(function: name, module: "service", file: "a.cpp", line: 7)]
                }
                return address
            }
            // Later stacks hold more.
            let size = UInt64(1000 + number)
            let total = Estimate(bytes: Double(size) * 1000, count: 1000, samples: 1000)
            profile.sites.append(Site(stack: addresses, allocated: total, live: total))
            for block in 0..<1000 {
                profile.samples.append(
                    LiveSample(size: size, birth: Double(block) / 10, weight: 1, site: Int32(number)))
            }
        }
        var options = AnalysisOptions()
        options.showsFoldedFrames = showsFoldedFrames
        return analyze(LeakInput(profile: profile, symbols: symbols, heap: heap, options: options))
    }

    @Test func sitesOfOneFunctionAreOneSuspect() throws {
        let found = suspects([
            ["malloc", "std::list<int>::push_back(int)", "Tracker::record()", "importer()", "main"],
            ["operator new(unsigned long)", "Event::Event()", "Tracker::record()", "server()", "main"],
        ])
        let suspect = try #require(found.first)
        #expect(found.count == 1)
        #expect(suspect.sites == 2)
        #expect(suspect.liveCount == 2000)
        // The heaviest stack, with what was being made in front.
        #expect(suspect.stack.map(\.function) == ["Event::Event()", "Tracker::record()", "server()", "main"])
        #expect(suspect.stack.first?.file == "a.cpp")
        #expect(suspect.stack.first?.line == 7)
    }

    /// Who allocates and who holds are one suspect.
    @Test(arguments: [
        (HeapSurvey.Holding.Holder.root(0), "held by Tracker::events, std::map or set of 3 entries", 0.5),
        (.nothing, "it is lost", 1),
    ])
    func whoHoldsItIsEvidence(_ holder: HeapSurvey.Holding.Holder, _ text: String, _ weight: Double) throws {
        var heap = HeapSurvey(blockCount: 9, bytes: 999)
        heap.roots = [
            .init(
                kind: .global, name: "Tracker::events", retainedBytes: 99, retainedCount: 9,
                container: .init(kind: "std::map or set", count: 3))
        ]
        let stacks = [
            ["malloc", "Tracker::record()", "main"], ["calloc", "Tracker::record()", "main"],
            ["malloc", "other()", "main"],
        ]
        heap.holdings = [
            .init(site: 0, holder: holder, bytes: 500), .init(site: 1, holder: holder, bytes: 300),
            .init(site: 1, holder: .others, bytes: 200), .init(site: 2, holder: .others, bytes: 1e9),
        ]
        let suspect = try #require(suspects(stacks, heap: heap).first { $0.function == "Tracker::record()" })
        #expect(suspect.holders.map(\.share) == [0.8, 0.2] && suspect.holders.last?.kind == .others)
        let evidence = try #require(suspect.evidence.first { $0.kind == .holder })
        #expect(evidence.weight == weight && evidence.text.contains(text) && evidence.text.contains("80%"))
    }

    /// Of several sites of one function what each lost, and nothing of what somebody holds.
    @Test func whoAllocatedWhatIsLost() {
        var heap = HeapSurvey(blockCount: 9, bytes: 999)
        heap.holdings = [
            .init(site: 0, holder: .nothing, bytes: 500), .init(site: 1, holder: .nothing, bytes: 300),
            .init(site: 1, holder: .others, bytes: 200), .init(site: 2, holder: .others, bytes: 1e9),
            .init(site: 3, holder: .nothing, bytes: 900), .init(site: 99, holder: .nothing, bytes: .nan),
        ]
        let report = report(
            [
                ["malloc", "parse()", "main"], ["calloc", "parse()", "main"], ["malloc", "b()"], ["malloc", "worst()"],
            ],
            heap: heap)
        #expect(
            report.lostSites == [
                LostSite(function: "worst()", module: "service", bytes: 900),
                LostSite(function: "parse()", module: "service", bytes: 800),
            ])
    }

    @Test func closuresBelongToTheirFunction() throws {
        let found = suspects([
            ["swift_allocObject", "App.Event.__allocating_init() -> App.Event", "static App.Tracker.record() -> ()"],
            ["swift_allocObject", "closure #1 () -> () in static App.Tracker.record() -> ()", "App.run() -> ()"],
        ])
        #expect(found.map(\.function) == ["App.Tracker.record() -> ()"])
    }

    @Test func aFunctionStandsOnlyOnceInARow() throws {
        let suspect = try #require(
            suspects([["malloc", "closure #1 () -> () in f() -> ()", "f() -> ()", "g()", "g()", "f() -> ()"]]).first)
        #expect(suspect.stack.map(\.function) == ["closure #1 () -> () in f() -> ()", "g()", "f() -> ()"])
    }

    @Test func foldedFramesAreKeptOnRequest() throws {
        let stack = ["malloc", "Event::Event()", "Tracker::record()", "start_thread"]
        let suspect = try #require(suspects([stack], showsFoldedFrames: true).first)
        #expect(suspect.stack.map(\.function) == stack)
        #expect(suspect.stack.map(\.role) == [.allocator, .constructor, .application, .runtime])
        #expect(suspect.function == "Tracker::record()")
    }

    @Test func differentFunctionsAreDifferentSuspects() {
        let found = suspects([["malloc", "a()", "main"], ["malloc", "b()", "main"]])
        #expect(found.map(\.function) == ["b()", "a()"])
        #expect(found.map(\.rank) == [1, 2])
    }

    @Test func withoutApplicationFramesTheInnermostThatDoesNotAllocateIsNamed() {
        #expect(suspects([["malloc", "Event::Event()", "start_thread"]]).map(\.function) == ["Event::Event()"])
        #expect(suspects([["malloc", "start_thread"]]).map(\.function) == ["start_thread"])
        #expect(suspects([["malloc"]]).map(\.function) == ["malloc"])
        #expect(suspects([[]]).map(\.function) == ["(stack lost)"])
    }

    @Test func withoutSymbolsThereIsModuleAndOffset() {
        #expect(suspects([[nil, "main"]]).map(\.function) == ["service+0xabc"])
    }
}
