import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1

/// Posts one event. Runs in a helper process, so that the agent never holds an event loop.
public enum Webhook {
    /// Tries once more after each of `pauses` (seconds); each attempt may take 5 seconds. Any status of 200…299 is a
    /// success.
    public static func post(
        _ body: [UInt8], to url: String, pauses: [Double] = [1, 4]
    ) async throws(AgentError) {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false  // nor would it say why it cannot
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var failure = ""
        for pause in pauses.map(Optional.some) + [nil] {
            do {
                let status = try await attempt(client, body, url)
                if (200..<300).contains(status) {
                    try? await client.shutdown()
                    return
                }
                failure = "it answered with status \(status)"
                // The request is wrong: it will be as wrong the next time.
                if (400..<500).contains(status), status != 429, status != 408 { break }
            } catch let error as HTTPClientError where error == .invalidURL || error == .emptyScheme {
                failure = "not a URL: write http://host/path or https://host/path"
                break
            } catch let error as IOError {
                failure = String(cString: strerror(error.errnoCode))
            } catch {
                failure = "\(error)".split(separator: "\n").first.map(String.init) ?? "no answer"
            }
            if let pause { try? await Task.sleep(for: .seconds(pause)) }
        }
        try? await client.shutdown()
        throw AgentError(.system, "webhook to \(host(of: url)): \(failure)")
    }

    /// All of `url` that may be told: user, path and query may hold a secret.
    static func host(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return "a URL without scheme" }
        let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
        return authority.split(separator: "@", omittingEmptySubsequences: false).last.map(String.init) ?? ""
    }

    private static func attempt(_ client: HTTPClient, _ body: [UInt8], _ url: String) async throws -> UInt {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: "heaptide")
        request.body = .bytes(ByteBuffer(bytes: body))
        return try await client.execute(request, timeout: .seconds(5)).status.code
    }
}
