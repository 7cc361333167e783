import Agent
import ArgumentParser
import Glibc

// What the agent runs as its helpers; not for people.

struct PerformCapture: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture", abstract: "Write the snapshot described on standard input.", shouldDisplay: false)

    func run() throws { try Capture.perform(request: standardInput()) }
}

struct FindCollections: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-collections", abstract: "Find the collections of the process described on standard input.",
        shouldDisplay: false)

    func run() throws { try CollectionSearch.perform(request: standardInput()) }
}

struct Post: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "post", abstract: "Post standard input to a URL.", shouldDisplay: false)

    @Argument var url: String

    func run() throws {
        let body = standardInput()
        let url = url
        Task.detached {
            do {
                try await Webhook.post(body, to: url)
                Glibc.exit(0)
            } catch {
                end(error)
            }
        }
        while true { pause() }
    }
}
