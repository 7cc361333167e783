/// A JSON document. Written with sorted keys and two spaces of indentation, so that two of them can be compared by line.
enum JSONValue {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    var text: String {
        var text = ""
        write(to: &text, indent: 0)
        return text
    }

    private func write(to text: inout String, indent: Int) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let value): text += Self.digits(value)
        case .string(let value): Self.write(value, to: &text)
        case .array(let values):
            Self.write(values.map { (nil, $0) }, between: "[", "]", to: &text, indent: indent)
        case .object(let values):
            let members = values.sorted { $0.key < $1.key }.map { (Optional($0.key), $0.value) }
            Self.write(members, between: "{", "}", to: &text, indent: indent)
        }
    }

    private static func write(
        _ members: [(key: String?, value: JSONValue)], between open: String, _ close: String, to text: inout String,
        indent: Int
    ) {
        guard !members.isEmpty else {
            text += open + close
            return
        }
        text += open
        for (index, member) in members.enumerated() {
            text += (index > 0 ? ",\n" : "\n") + String(repeating: "  ", count: indent + 1)
            if let key = member.key {
                write(key, to: &text)
                text += ": "
            }
            member.value.write(to: &text, indent: indent + 1)
        }
        text += "\n" + String(repeating: "  ", count: indent) + close
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case _ where scalar.isDangerous:
                // Beyond the first plane JSON wants a pair of surrogates, which is what UTF-16 holds.
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }

    /// Three decimals, which is less than any estimate here is good for. JSON knows no NaN and no infinity.
    private static func digits(_ value: Double) -> String {
        guard value.isFinite else { return "null" }
        guard abs(value) < 1e12 else { return "\(value)" }
        let rounded = (value * 1000).rounded() / 1000
        return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
    }
}

extension JSONValue {
    init(_ value: Double?) { self = value.map(JSONValue.number) ?? .null }
    init(_ value: Int?) { self = value.map { .number(Double($0)) } ?? .null }
    init(_ value: String?) { self = value.map(JSONValue.string) ?? .null }
}
