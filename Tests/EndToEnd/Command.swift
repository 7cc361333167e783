import Foundation

/// One of the package's own programs, run to its end.
struct Command {
    var status: Int32
    var output: String
    var errors: String

    /// Folder of the products: the test bundle lies among them.
    static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    /// `program` is a product's name or, with a slash, a path.
    init(_ program: String, _ arguments: String..., environment: [String: String] = [:]) throws {
        let process = Process()
        process.executableURL =
            program.contains("/") ? URL(fileURLWithPath: program) : Self.products.appendingPathComponent(program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let folder = try TemporaryFolder()
        let (out, err) = (folder.path + "/out", folder.path + "/err")
        for file in [out, err] { try Data().write(to: URL(fileURLWithPath: file)) }
        process.standardOutput = FileHandle(forWritingAtPath: out)
        process.standardError = FileHandle(forWritingAtPath: err)
        try process.run()
        process.waitUntilExit()
        status = process.terminationStatus
        output = try String(contentsOfFile: out, encoding: .utf8)
        errors = try String(contentsOfFile: err, encoding: .utf8)
    }
}

/// Goes with everything in it when nobody holds it any more.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("heaptide-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    var files: [String] {
        (FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []).sorted().map { "\(path)/\($0)" }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
