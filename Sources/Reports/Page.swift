/// A page of text that is being written: knows the width and the colours.
struct Page {
    enum Style: String {
        case plain = ""
        case bold = "1"
        case dim = "2"
        case bad = "1;31"
        case doubtful = "1;33"
        case good = "1;32"
    }

    private let width: Int
    private let color: Bool
    private(set) var text = ""

    init(width: Int, color: Bool) {
        self.width = max(40, min(width, 10_000))
        self.color = color
    }

    mutating func blank() { text += "\n" }

    mutating func heading(_ title: String) {
        blank()
        text += styled(title.uppercased(), .bold) + "\n"
    }

    /// `label` in a column of its own, then the words of `body`, wrapped and indented to where they began.
    mutating func paragraph(_ label: String, _ body: String, indent: Int = 0, column: Int, style: Style = .dim) {
        let padding = String(repeating: " ", count: max(1, column - label.count))
        let margin = String(repeating: " ", count: indent + label.count + padding.count)
        var isFirst = true
        for line in wrapped(body, to: width - margin.count) {
            text += isFirst ? String(repeating: " ", count: indent) + styled(label, style) + padding : margin
            text += line + "\n"
            isFirst = false
        }
    }

    /// One line with `left` from `indent` on and `right` at the right edge. What does not fit is cut out of `left`.
    mutating func split(_ left: String, _ right: String, indent: Int, style: Style = .plain) {
        let end = cut(right, to: width / 3)
        let room = width - indent - (end.isEmpty ? 0 : end.count + 2)
        let start = cut(left, to: room)
        let gap = end.isEmpty ? "" : String(repeating: " ", count: room - start.count + 2)
        text += String(repeating: " ", count: indent) + styled(start, style) + gap + styled(end, .dim) + "\n"
    }

    func styled(_ text: String, _ style: Style) -> String {
        color && style != .plain && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Says with `…` that something is missing: of a function that tells its arguments the last of them, else the middle, as
    /// of a path and a line, or of a Rust function, whose name comes last.
    func cut(_ text: String, to count: Int) -> String {
        guard text.count > count else { return text }
        let kept = max(0, count - 1)
        let end = text.contains("(") ? 0 : kept * 2 / 5
        return text.prefix(kept - end) + "…" + text.suffix(end)
    }

    /// Never empty. A word that is longer than a line is broken.
    private func wrapped(_ text: String, to count: Int) -> [String] {
        let count = max(10, count)
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            var word = word
            if !line.isEmpty, line.count + 1 + word.count > count {
                lines.append(line)
                line = ""
            }
            while line.isEmpty, let end = word.index(word.startIndex, offsetBy: count, limitedBy: word.endIndex),
                end < word.endIndex
            {
                lines.append(String(word[..<end]))
                word = word[end...]
            }
            line += line.isEmpty ? String(word) : " " + word
        }
        return lines + (line.isEmpty && !lines.isEmpty ? [] : [line])
    }
}

/// A row of bars, one for each value, the highest filling its line, `·` for none: `▁▃█·`.
func sparkline(_ values: [Double]) -> String {
    let bars = Array("▁▂▃▄▅▆▇█")
    guard let highest = values.filter(\.isFinite).max(), highest > 0 else { return "" }
    return String(
        values.map { value in
            guard value > 0, value.isFinite else { return "·" }
            return bars[min(bars.count - 1, Int((value / highest * Double(bars.count - 1)).rounded()))]
        })
}
