import Foundation
import HeapProfile
import Symbolication
import Testing

/// A stripped program whose debug information is elsewhere, and files that are not what the process ran.
@Suite(.enabled(if: tool("objcopy") != nil && tool("strip") != nil, "binutils is not installed"))
struct DebugFileTests {
    private let workshop: Workshop
    private let places: [CodeAddress]
    private static let buildID = "ab0123456789"

    /// `program` is stripped, `program.full` is not.
    init() throws {
        workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        try workshop.run([
            "clang", "-O2", "-g", "-Wl,--build-id=0x\(Self.buildID)", "program.c", try workshop.makePlace(), "-o",
            "program.full",
        ])
        try workshop.run(["strip", "program.full", "-o", "program"])
        places = try workshop.places("program")
    }

    private func resolve(
        buildID: String = buildID, debugDirectories: [String] = [], path: String? = nil
    ) -> (frames: [String], notes: [String]) {
        let modules = [Module(path: path ?? workshop.file("program"), buildID: buildID)]
        var symbolicator = Symbolicator(debugDirectories: debugDirectories.map(workshop.file))
        let table = symbolicator.resolve(places, in: modules)
        return (brief(table, places[0], in: modules), symbolicator.notes)
    }

    private var unresolved: [String] { ["program+0x\(String(places[0].offset, radix: 16))"] }

    private func makeDebugFile(_ path: String) throws {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: workshop.file(folder), withIntermediateDirectories: true)
        try workshop.run(["objcopy", "--only-keep-debug", "program.full", path])
    }

    @Test func strippedWithoutDebugFile() {
        let result = resolve()
        #expect(result.frames == unresolved)
        #expect(
            result.notes == [
                "\(workshop.file("program")): stripped, and no debug file found: 1 of 1 addresses have no name"
            ])
    }

    @Test func debugFileByBuildID() throws {
        try makeDebugFile("debug/.build-id/ab/0123456789.debug")
        #expect(resolve(debugDirectories: ["nowhere", "debug"]).frames == cFrames)
        // The file's own ID serves where the recording has none.
        #expect(resolve(buildID: "", debugDirectories: ["debug"]).frames == cFrames)
    }

    @Test func debugFileOfAnotherBuildIsNotUsed() throws {
        try makeDebugFile("debug/.build-id/ab/0123456789.debug")
        try workshop.run([
            "clang", "-O2", "-g", "-Wl,--build-id=0xab99", "program.c", "place.o", "-o",
            "debug/.build-id/ab/0123456789.debug",
        ])
        #expect(resolve(debugDirectories: ["debug"]).frames == unresolved)
    }

    @Test(arguments: ["program.debug", ".debug/program.debug"])
    func debugFileByLink(place: String) throws {
        try makeDebugFile(place)
        try workshop.run(["objcopy", "--add-gnu-debuglink=\(place)", "program"])
        #expect(resolve().frames == cFrames)
    }

    @Test func debugLinkBelowTheDebugFolder() throws {
        try makeDebugFile("debug\(workshop.path)/program.debug")
        try workshop.run(["objcopy", "--add-gnu-debuglink=debug\(workshop.path)/program.debug", "program"])
        #expect(resolve(debugDirectories: ["debug"]).frames == cFrames)
    }

    /// Without build IDs the checksum decides.
    @Test func debugLinkWithChecksum() throws {
        try workshop.run(["objcopy", "--remove-section=.note.gnu.build-id", "program.full"])
        try workshop.run(["strip", "program.full", "-o", "program"])
        try makeDebugFile("program.debug")
        try workshop.run(["objcopy", "--add-gnu-debuglink=program.debug", "program"])
        #expect(resolve(buildID: "").frames == cFrames)
        let file = try #require(FileHandle(forWritingAtPath: workshop.file("program.debug")))
        try file.seekToEnd()
        try file.write(contentsOf: Data([0]))
        try file.close()
        #expect(resolve(buildID: "").frames == unresolved)
    }

    @Test func replacedFile() throws {
        let other = String(Self.buildID.reversed())
        let result = resolve(buildID: other)
        #expect(result.frames == unresolved)
        #expect(
            result.notes == [
                "\(workshop.file("program")): file on disk has build ID \(Self.buildID), the process ran \(other): "
                    + "left unresolved"
            ])
        // Nor is its debug file: only that of what the process ran.
        try makeDebugFile("debug/.build-id/ab/0123456789.debug")
        #expect(resolve(buildID: other, debugDirectories: ["debug"]).frames == unresolved)
    }

    @Test func deletedFileWithDebugFile() throws {
        try makeDebugFile("debug/.build-id/ab/0123456789.debug")
        try FileManager.default.removeItem(atPath: workshop.file("program"))
        let result = resolve(debugDirectories: ["debug"])
        #expect(result.frames == cFrames)
        #expect(result.notes == [])
    }

    @Test func filesThatAreNoModules() throws {
        try workshop.write("text", "not an ELF file")
        try workshop.write("empty", "")
        #expect(mkfifo(workshop.file("pipe"), 0o600) == 0)
        for (name, reason) in [
            ("gone", "No such file or directory"), ("text", "not an ELF executable or shared object"),
            ("empty", "not an ELF executable or shared object"), ("pipe", "not a regular file"),
            (".", "not a regular file"), ("place.o", "not an ELF executable or shared object"),
        ] {
            let result = resolve(path: workshop.file(name))
            #expect(result.notes == ["\(workshop.file(name)): \(reason): left unresolved"])
        }
        #expect(resolve(path: "program").notes == ["program: not an absolute path: left unresolved"])
    }

    @Test(arguments: ["[vdso]", "linux-vdso.so.1", ""])
    func modulesWithoutFile(path: String) {
        #expect(resolve(path: path).notes == [])
    }

    @Test func addressesOfNoModule() {
        var symbolicator = Symbolicator()
        let strays = [-1, 1, Int32.max, Int32.min].map { CodeAddress(module: $0, offset: 4096) }
        let table = symbolicator.resolve(strays, in: [Module(path: workshop.file("program.full"))])
        #expect(table.frames.isEmpty)
        #expect(symbolicator.notes == [])
    }

    @Test func addressesOutsideTheFile() {
        var symbolicator = Symbolicator()
        let strays = [0, 1, 2, UInt64.max, 1 << 63].map { CodeAddress(module: 0, offset: $0) }
        let table = symbolicator.resolve(strays, in: [Module(path: workshop.file("program.full"))])
        #expect(table.frames.isEmpty)
    }

    /// An exported name is all that a stripped library has.
    @Test func dynamicSymbols() throws {
        try workshop.run(["clang", "-O2", "-shared", "-fPIC", "program.c", "place.c", "-o", "library.so"])
        let symbols = try workshop.run(["nm", "-D", "library.so"]).split(separator: "\n")
        let outer = try #require(symbols.first { $0.hasSuffix(" T outer") }?.split(separator: " ").first)
        let address = CodeAddress(module: 0, offset: try #require(UInt64(outer, radix: 16)) + 1)
        try workshop.run(["strip", "library.so"])
        let modules = [Module(path: workshop.file("library.so"))]
        var symbolicator = Symbolicator()
        #expect(brief(symbolicator.resolve([address], in: modules), address, in: modules) == ["outer"])
    }

    @Test func sysroot() throws {
        var symbolicator = Symbolicator(debugDirectories: [], sysroot: workshop.path)
        let table = symbolicator.resolve(places, in: [Module(path: "/program.full")])
        #expect(table.frames[places[0]]?.map(brief) == cFrames)
    }
}
