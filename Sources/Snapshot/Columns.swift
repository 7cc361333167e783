import GRDB

/// The columns of one row, each checked for its type: a file may hold anything anywhere.
struct Columns {
    let row: Row

    func integer<Integer: FixedWidthInteger>(_ index: Int, as type: Integer.Type = Integer.self) throws -> Integer {
        guard case .int64(let value) = storage(index), let exact = Integer(exactly: value) else { throw damage(index) }
        return exact
    }

    func flag(_ index: Int) throws -> Bool { try integer(index, as: Int.self) != 0 }

    /// A 64-bit pattern.
    func bits(_ index: Int) throws -> UInt64 { UInt64(bitPattern: try integer(index, as: Int64.self)) }

    func optionalBits(_ index: Int) throws -> UInt64? { isNull(index) ? nil : try bits(index) }

    /// Of one of so many rows of a table.
    func optionalIndex(_ index: Int, below count: Int) throws -> Int? {
        if isNull(index) { return nil }
        let value: Int = try integer(index)
        guard (0..<count).contains(value) else { throw damage(index) }
        return value
    }

    /// A finite number of at least `minimum`.
    func number(_ index: Int, from minimum: Double = 0) throws -> Double {
        guard case .double(let value) = storage(index), value.isFinite, value >= minimum else { throw damage(index) }
        return value
    }

    func text(_ index: Int) throws -> String {
        guard case .string(let value) = storage(index) else { throw damage(index) }
        return value
    }

    func optionalText(_ index: Int) throws -> String? { isNull(index) ? nil : try text(index) }

    /// A JSON array of at most `limit` plain numbers.
    func list<Value: LosslessStringConvertible>(_ index: Int, limit: Int) throws -> [Value] {
        let text = try text(index)
        guard text.utf8.first == UInt8(ascii: "["), text.utf8.last == UInt8(ascii: "]"), text.utf8.count >= 2
        else { throw damage(index) }
        let parts = text.dropFirst().dropLast().split(separator: ",", maxSplits: limit)
        guard parts.count <= limit else { throw damage(index) }
        return try parts.map { part in
            guard let value = Value(String(part)) else { throw damage(index) }
            return value
        }
    }

    private func isNull(_ index: Int) -> Bool { storage(index) == .null }

    private func storage(_ index: Int) -> DatabaseValue.Storage {
        let value: DatabaseValue = row[index]
        return value.storage
    }

    private func damage(_ index: Int) -> Damage { Damage(what: "column \(index)") }
}
