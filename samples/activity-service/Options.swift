struct Options: Sendable {
    /// Bytes of events a second.
    var rate = 2.0 * 1024 * 1024
    /// Seconds, 0: until it is stopped.
    var duration = 0.0
    var threads = 2
    var leak = true

    struct Misuse: Error {}

    static let help = """
        A service that tracks its users' activity and never forgets any of it.

          --rate SIZE         bytes of events leaked per second (default 2MiB)
          --duration SECONDS  stop after this time (default 0: never)
          --threads N         tasks that serve the traffic (default 2)
          --no-leak           keep only the newest events of each user
          --help              print this

        Every second it prints what its tracker really holds, in bytes requested from the allocator: the events, and
        the arrays that hold them (some 8% more).

        """

    /// Nil when help was asked for.
    static func parse(_ arguments: some Sequence<String>) throws -> Options? {
        var options = Options()
        var rest = arguments.makeIterator()
        while let name = rest.next() {
            switch name {
            case "--help": return nil
            case "--no-leak": options.leak = false
            case "--rate": options.rate = try size(rest.next())
            case "--duration": options.duration = try size(rest.next())
            case "--threads": options.threads = Int(try size(rest.next(), in: 1...256))
            default: throw Misuse()
            }
        }
        return options
    }

    /// `2MiB`, `64KiB`, `1.5GiB` or a plain number.
    private static func size(_ text: String?, in range: ClosedRange<Double> = 0...1e12) throws -> Double {
        let units = ["KiB": 1024.0, "MiB": 1_048_576.0, "GiB": 1_073_741_824.0]
        let unit = text.map { units[String($0.suffix(3))] } ?? nil
        guard let text, let number = Double(unit == nil ? text[...] : text.dropLast(3)) else { throw Misuse() }
        let value = number * (unit ?? 1)
        guard range.contains(value) else { throw Misuse() }
        return value
    }
}
