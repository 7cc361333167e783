import ArgumentParser
import Glibc

enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

enum ColorChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, always, never

    /// Auto: a terminal, and nobody set NO_COLOR (no-color.org).
    var isOn: Bool {
        switch self {
        case .always: true
        case .never: false
        case .auto: isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR").map { $0.pointee == 0 } ?? true
        }
    }
}

/// All of `text`; a pipe that was closed early, as by `head`, ends the program quietly.
func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}

/// All of standard input.
func standardInput() -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(STDIN_FILENO, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0, bytes.count < 64 << 20 else { return bytes }
        bytes += chunk[..<count]
    }
}

/// Columns of the terminal as the shell tells them, else 100.
func terminalWidth() -> Int {
    getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.map { min(max($0, 60), 200) } ?? 100
}
