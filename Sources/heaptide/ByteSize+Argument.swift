public import Agent
public import ArgumentParser

extension ByteSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
