public import Agent
public import ArgumentParser

extension ByteSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    /// The probe takes no order beyond that.
    func checkInterval() throws {
        guard (1..<(1 << 40)).contains(bytes) else {
            throw ValidationError("--interval must be from 1 to less than 1TiB")
        }
    }
}

extension FreezeMethod: ExpressibleByArgument {}
