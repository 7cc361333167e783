import Glibc
import Synchronization

/// A web server for a test, on a port of its own at 127.0.0.1: answers each request with the next status.
final class Listener: Sendable {
    let port: UInt16
    private let socket: Int32
    private let thread: pthread_t
    private let work: Work

    private final class Work: Sendable {
        let socket: Int32
        let answers: [Int]
        let bodies = Mutex<[String]>([])

        init(_ socket: Int32, _ answers: [Int]) {
            self.socket = socket
            self.answers = answers
        }

        func serve() {
            for answer in answers {
                let client = accept(socket, nil, nil)
                guard client >= 0 else { return }
                let body = Self.request(client)
                bodies.withLock { $0.append(body) }
                let reply = Array("HTTP/1.1 \(answer) Answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8)
                _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
                close(client)
            }
        }

        /// The body of one request, by its Content-Length.
        private static func request(_ client: Int32) -> String {
            var text = ""
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while case let count = recv(client, &buffer, buffer.count, 0), count > 0 {
                text += String(decoding: buffer[..<count], as: UTF8.self)
                let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { continue }
                let length = parts[0].lowercased().split(separator: "content-length: ").last.flatMap {
                    Int($0.prefix { $0.isNumber })
                }
                if parts[1].utf8.count >= length ?? 0 { return String(parts[1]) }
            }
            return text
        }
    }

    struct Failure: Error {}

    init(answers: [Int]) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = socket
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && listen(socket, 8) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard bound else { throw Failure() }
        port = UInt16(bigEndian: address.sin_port)
        work = Work(socket, answers)
        var thread = pthread_t()
        let context = Unmanaged.passRetained(work).toOpaque()
        guard
            pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    Unmanaged<Work>.fromOpaque(context).takeRetainedValue().serve()
                    return nil
                }, context) == 0
        else { throw Failure() }
        self.thread = thread
    }

    /// The bodies received, when all answers are given or nobody will come any more.
    func finish() -> [String] {
        shutdown(socket, Int32(SHUT_RDWR))
        pthread_join(thread, nil)
        close(socket)
        return work.bodies.withLock { $0 }
    }
}
