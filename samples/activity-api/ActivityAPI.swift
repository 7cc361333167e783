import ArgumentParser
import Glibc
import Hummingbird
import Logging
import NIOCore

/// An HTTP service that records what its users do, with async handlers all the way down.
@main
struct ActivityAPI: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activity-api",
        abstract: "An HTTP service on 127.0.0.1 that records its users' activity and never forgets any of it.",
        discussion: """
              POST /activity/USER   records {"action": "view", "page": "/products/7"}, which leaks
              GET /activity/USER    the user's newest events
              GET /products/ID      a product, out of a catalogue and a bounded cache
              GET /health           ok

            It prints `listening on PORT` once it answers. It ends on SIGTERM or SIGINT when the requests under way
            are answered, and prints how many events it recorded and keeps.
            """)

    @Option(help: "Port to listen on; 0 takes a free one.")
    var port = 8080

    @Flag(inversion: .prefixedNo, help: "Keep every event for ever; else only the newest 20 of each user.")
    var leak = true

    static func main() async {
        do {
            try await parse().run()
        } catch is IOError {
            end(3, "activity-api: cannot listen on that port: choose another with --port, or 0 for a free one")
        } catch {
            end(exitCode(for: error) == .success ? 0 : 2, fullMessage(for: error))
        }
    }

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port: \(port) is not in 0…65535") }
    }

    func run() async throws {
        let store = ActivityStore(eventsKeptOfUser: leak ? .max : 20)
        var logger = Logger(label: "activity-api")
        logger.logLevel = .warning
        let application = Application(
            router: Self.router(store: store),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: port)),
            onServerRunning: { say("listening on \($0.localAddress?.port ?? 0)") },
            logger: logger)
        try await application.runService()
        say("recorded \(await store.recorded) events, keeps \(await store.kept)")
    }

    private static func router(store: ActivityStore) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("health") { _, _ in "ok\n" }
        ActivityHandler(store: store).addRoutes(to: router.group("activity/:user"))
        ProductHandler(catalogue: ProductCatalogue()).addRoutes(to: router.group("products/:id"))
        return router
    }
}

/// Writes at once, as a pipe's reader wants to see each line when it is true.
private func say(_ line: String, to descriptor: Int32 = STDOUT_FILENO) {
    var text = line + "\n"
    text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
}

private func end(_ status: Int32, _ line: String) -> Never {
    say(line, to: status == 0 ? STDOUT_FILENO : STDERR_FILENO)
    exit(status)
}
