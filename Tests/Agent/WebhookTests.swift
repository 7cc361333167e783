import Agent
import Testing

@Suite(.timeLimit(.minutes(1))) struct WebhookTests {
    private let body = Array(#"{"event":"growth"}"#.utf8)

    @Test func theBodyArrives() async throws {
        let listener = try Listener(answers: [200])
        try await Webhook.post(body, to: "http://127.0.0.1:\(listener.port)/hook")
        #expect(listener.finish() == [#"{"event":"growth"}"#])
    }

    @Test func aServerThatIsBusyIsAskedAgain() async throws {
        let listener = try Listener(answers: [503, 429, 204])
        try await Webhook.post(body, to: "http://127.0.0.1:\(listener.port)/", pauses: [0, 0])
        #expect(listener.finish().count == 3)
    }

    @Test func aServerThatRefusesIsNot() async throws {
        let listener = try Listener(answers: [404, 204])
        await #expect(throws: AgentError.self) {
            try await Webhook.post(body, to: "http://127.0.0.1:\(listener.port)/", pauses: [0, 0])
        }
        #expect(listener.finish().count == 1)
    }

    @Test func onlyTheHostIsTold() async {
        let error = await #expect(throws: AgentError.self) {
            try await Webhook.post(body, to: "http://user:secret@[::1]:1/secret?secret#secret", pauses: [])
        }
        #expect(error?.description.hasPrefix("webhook to [::1]:1: ") == true)
        #expect(error?.description.contains("secret") == false)
    }

    @Test func nobodyThereIsAnErrorOfOneLine() async throws {
        let listener = try Listener(answers: [])
        _ = listener.finish()
        for url in ["http://127.0.0.1:\(listener.port)/", "nonsense", "", "http://"] {
            let error = await #expect(throws: AgentError.self) {
                try await Webhook.post(body, to: url, pauses: [0])
            }
            #expect(error?.description.hasPrefix("webhook to ") == true)
            #expect(error?.description.contains("\n") == false)
            let isRefused = url.contains("\(listener.port)")
            #expect(error?.description.hasSuffix(": Connection refused") == isRefused, "\(String(describing: error))")
        }
    }
}
