import Agent
import ArgumentParser
import Glibc

/// The parser's words and status 2 for wrong use, one line and status 3 for what could not be done.
func end(_ error: any Error) -> Never {
    if let code = error as? ExitCode { exit(code.rawValue) }
    switch Heaptide.exitCode(for: error) {
    case .success:  // help or the version was asked for
        write(Heaptide.fullMessage(for: error) + "\n", to: STDOUT_FILENO)
        exit(0)
    case .validationFailure:
        write(Heaptide.fullMessage(for: error) + "\n", to: STDERR_FILENO)
        exit(2)
    default: write("heaptide: \(error)\n", to: STDERR_FILENO)
    }
    switch (error as? AgentError)?.code {
    case .commandNotFound?: exit(127)
    case .commandNotExecutable?: exit(126)
    default: exit(3)
    }
}

do {
    var command = try Heaptide.parseAsRoot()
    try command.run()
} catch {
    end(error)
}
