// swift-tools-version: 6.2
import PackageDescription

// Each target stands here once, with all that it may import: the `dependencies:` lists are the architecture.
// Arrows run downwards only. The pure rooms (HeapGraph, HeapProfile, TimeSeries, LeakAnalysis, Reports, AgentCore) open no
// file.

/// In CI a warning is an error; elsewhere another compiler's new warning must not stop anybody. CI also tests the release
/// build, so that the large dependencies are compiled once, and there `@testable` needs the flag.
let isCI = Context.environment["CI"] != nil

let strict: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (isCI ? [.treatAllWarnings(as: .error), .unsafeFlags(["-enable-testing"])] : [])

/// C that lives in other people's processes: nothing leaves the library unless it says so, and a thread-local costs one
/// instruction (the global-dynamic model was measured to cost 2 ns more on each malloc).
let probe: [CSetting] =
    [
        .unsafeFlags([
            "-std=gnu11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-ftls-model=initial-exec",
            // SwiftPM keeps frame pointers: three instructions more on each malloc and free, which call nothing.
            "-momit-leaf-frame-pointer",
        ])
    ] + (isCI ? [.treatAllWarnings(as: .error)] : [])

let algorithms = Target.Dependency.product(name: "Algorithms", package: "swift-algorithms")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
        swiftSettings: strict)
}

func sample(_ name: String, swift: Bool, _ dependencies: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "samples/\(name)",
        cxxSettings: swift ? [] : [.unsafeFlags(["-std=c++17"])], swiftSettings: swift ? strict : [])
}

let package = Package(
    name: "heaptide",
    products: [
        .executable(name: "heaptide", targets: ["heaptide"]),
        .library(name: "heaptide-probe", type: .dynamic, targets: ["HeapProbe"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-algorithms", from: "1.2.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.81.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    ],
    targets: [
        // C: the ledger's layout, the probe, and headers of what Swift does not import.
        .target(name: "CHeapLedger"),
        .target(name: "CLinux"),
        .systemLibrary(name: "CElf"),
        .target(name: "HeapRecorder", dependencies: ["CHeapLedger"], path: "Probes/HeapRecorder", cSettings: probe),
        .target(
            name: "HeapProbe", dependencies: ["HeapRecorder"], path: "Probes/HeapProbe", exclude: ["exports.map"],
            cSettings: probe,
            linkerSettings: [
                .unsafeFlags([
                    // Keeps the Swift runtime out of the probe's NEEDED entries (checked by a test).
                    "-enable-experimental-feature", "Embedded",
                    // gold leaves the probe's thread-local in the dynamic symbol table.
                    "-use-ld=lld",
                    // The base of the USDT notes is referred to by notes only, and would be taken for garbage.
                    "-Xlinker", "--no-gc-sections",
                    // valgrind 3.19 gives up on a program in which it meets DWARF that is newer than it.
                    "-Xlinker", "--strip-debug",
                    // Dlopened, its calls of its own functions must not go to libc's.
                    "-Xlinker", "-Bsymbolic-functions",
                    // The loader's resolver takes 3 KiB of a stack that may be small.
                    "-Xlinker", "-z", "-Xlinker", "now",
                    "-Xlinker", "--version-script=\(Context.packageDirectory)/Probes/HeapProbe/exports.map",
                ])
            ]),

        // Pure.
        room("HeapProfile"),
        room("HeapGraph", [algorithms]),
        room("TimeSeries"),
        room("LeakAnalysis", ["HeapProfile", "TimeSeries", algorithms]),
        room("Reports", ["HeapProfile", "LeakAnalysis"]),
        room("AgentCore", ["TimeSeries"]),

        // Each reads or writes one thing.
        room("HeapLedger", ["CHeapLedger", "HeapProfile", algorithms]),
        room("Attach", ["CElf", "CLinux", "RemoteProcess"]),
        room("LinuxMemory"),
        room("RemoteProcess", ["CLinux", algorithms]),
        room("Snapshot", ["HeapProfile", grdb]),
        room("Symbolication", ["CElf", "HeapProfile", algorithms]),

        // A stopped process: blocks, roots, types, collections.
        room("HeapWalk", ["CLinux", "HeapGraph", "HeapProfile", "RemoteProcess", algorithms]),

        // They bring it together.
        room("Inspection", ["HeapLedger", "HeapProfile", "LeakAnalysis", "Snapshot", "Symbolication", "TimeSeries"]),
        room(
            "Agent",
            [
                "AgentCore", "Attach", "CLinux", "HeapLedger", "HeapProfile", "HeapWalk", "Inspection", "LeakAnalysis",
                "LinuxMemory", "RemoteProcess", "Snapshot", "Symbolication", "TimeSeries", httpClient, logging, nio,
                nioHTTP1,
            ]),
        .executableTarget(
            name: "heaptide",
            dependencies: [
                "Agent", "HeapLedger", "Inspection", "LeakAnalysis", "Reports", "Snapshot", argumentParser, logging,
            ], swiftSettings: strict),

        sample("activity-api", swift: true, [argumentParser, hummingbird, logging, nio]),
        sample("activity-service", swift: true),
        sample("activity-service-cxx", swift: false),
        sample("healthy-service", swift: false),

        .target(
            name: "TestSupport", dependencies: ["CHeapLedger", "HeapProfile"], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("HeapGraph", ["HeapGraph", "TestSupport"]),
        tests(
            "HeapWalk",
            [
                "CHeapLedger", "HeapGraph", "HeapLedger", "HeapProfile", "HeapWalk", "Inspection", "LeakAnalysis",
                "RemoteProcess", "Snapshot", "Symbolication", "TestSupport",
            ]),
        tests("TimeSeries", ["TimeSeries", "TestSupport"]),
        tests("LeakAnalysis", ["LeakAnalysis", "HeapProfile", "TimeSeries", "TestSupport"]),
        tests("Reports", ["HeapProfile", "LeakAnalysis", "Reports", "TestSupport", "TimeSeries"], exclude: ["Golden"]),
        tests("AgentCore", ["AgentCore", "TimeSeries", "TestSupport"]),
        tests("HeapProbe", ["HeapLedger", "HeapProfile", "Symbolication", "TestSupport"]),
        tests("HeapRecorder", ["HeapRecorder", "CHeapLedger", "HeapLedger", "HeapProfile", "TestSupport"]),
        tests("HeapLedger", ["HeapLedger", "CHeapLedger", "HeapProfile", "TestSupport"]),
        tests("Attach", ["Attach", "CLinux", "HeapLedger", "HeapProfile", "RemoteProcess", "TestSupport"]),
        tests("LinuxMemory", ["LinuxMemory", "TestSupport"]),
        tests("Snapshot", ["Snapshot", "HeapProfile", "TestSupport"]),
        tests("Symbolication", ["Symbolication", "HeapProfile", "TestSupport"]),
        tests("Inspection", ["CHeapLedger", "Inspection", "HeapProfile", "LeakAnalysis", "Snapshot", "TestSupport"]),
        tests("Agent", ["Agent", "AgentCore", "HeapProfile", "TestSupport"]),
        tests("EndToEnd", ["HeapLedger", "TestSupport"], exclude: ["checks"]),
    ]
)
