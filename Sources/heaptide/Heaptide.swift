import ArgumentParser

/// The command line: what every command shares, and what exit statuses mean.
struct Heaptide: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "heaptide",
        abstract: "Watches a service's heap, warns of leaks, and saves the evidence before the OOM killer takes it.",
        discussion: """
            Start a service with it, then read what it found:

              heaptide run --output /var/lib/heaptide -- ./service --port 8080
              heaptide analyze /var/lib/heaptide/service-20261121T231422.087Z-4711-limit.heaptide

            Exit status: 0 fine, 1 a leak was found where a judgement was asked for, 2 wrong use, 3 could not do it.
            `run` gives on the service's own status.
            """,
        version: "heaptide \(version)",
        subcommands: [
            Run.self, Attend.self, Attach.self, TellProbe.self, TakeSnapshot.self, Analyze.self, Symbolize.self,
            Examine.self, Version.self, PerformCapture.self, FindCollections.self, Post.self,
        ])
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the version.", discussion: "Example: heaptide version")

    func run() { print("heaptide \(Heaptide.version)") }
}
