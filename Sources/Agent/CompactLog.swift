import Glibc
public import Logging

/// `heaptide: message` on standard error, one line each: a service's own log stands beside it.
public struct CompactLog: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]

    public init(level: Logger.Level = .info) { logLevel = level }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let weight = event.level >= .error ? "error: " : event.level == .warning ? "warning: " : ""
        let text = "heaptide: \(weight)\(event.message)\n"
        // One write: lines of several processes stay whole.
        _ = text.utf8.withContiguousStorageIfAvailable { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
