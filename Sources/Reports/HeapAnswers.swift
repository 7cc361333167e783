public import HeapProfile
public import LeakAnalysis

/// Writes down what a survey of a heap knows of one root, type or object. Nil where it knows nothing of it.
///
/// - Parameters: as of the whole report.
public func render(
    _ question: HeapQuestion, in heap: HeapSurvey, as format: ReportFormat, width: Int = 100, color: Bool = false
) -> String? {
    let answer = HeapAnswer(question, in: format == .text ? heap.escaped() : heap)
    guard !answer.isEmpty else { return nil }
    switch format {
    case .text:
        var page = Page(width: width, color: color)
        page.write(answer)
        return page.text
    case .json: return answer.json.text + "\n"
    }
}

extension Page {
    /// Of each list; JSON has all.
    private static let longest = 20

    fileprivate mutating func write(_ answer: HeapAnswer) {
        list("Held by", answer.roots) { $0.write($1) }
        list("Types", answer.types) { $0.write($1, in: answer.heap) }
        list("Nothing leads to", answer.leaks) { $0.write($1) }
        list("Collections", answer.collections) { $0.write($1, in: answer.heap) }
        list("Objects that retain most", answer.objects) { $0.write($1, in: answer.heap) }
    }

    private mutating func list<Element>(
        _ title: String, _ elements: [Element], _ write: (inout Page, Element) -> Void
    ) {
        guard !elements.isEmpty else { return }
        heading(title)
        for element in elements.prefix(Self.longest) { write(&self, element) }
        writeRest(elements.count - Self.longest)
    }

    /// How many entries of a list are not told.
    mutating func writeRest(_ count: Int, hint: String = "") {
        if count > 0 { split("and \(Figures.count(Double(count))) more\(hint)", "", indent: 2) }
    }

    private mutating func write(_ type: HeapSurvey.TypeCount, in heap: HeapSurvey) {
        write(type)
        for holder in type.holders {
            paragraph(
                "", "\(Figures.count(Double(holder.count))) held by \(heap.title(of: holder.place))", indent: 4,
                column: 1)
        }
        let rest = type.count - min(type.count, type.holders.reduce(0) { $0 &+ $1.count })
        if rest > 0 { paragraph("", "\(Figures.count(Double(rest))) elsewhere", indent: 4, column: 1) }
    }

    private mutating func write(_ path: HeapAnswer.Path, in heap: HeapSurvey) {
        guard let object = path.objects.last, let first = path.objects.first else { return }
        split(
            "\(object.type) at \(hexadecimal(object.address))",
            "retains \(Figures.bytes(Double(object.retainedBytes)))", indent: 2)
        let blocks = Figures.count(Double(object.retainedCount), "block")
        let above = [path.root?.title ?? heap.owners(of: first)] + path.objects.dropLast().map(\.type)
        paragraph("", "\(blocks), itself of \(Figures.bytes(Double(object.bytes)))", indent: 4, column: 1)
        paragraph("", "held by \(above.joined(separator: " → "))", indent: 4, column: 1)
    }
}

extension HeapAnswer {
    fileprivate var json: JSONValue {
        .object([
            "roots": .array(roots.map(\.json)),
            "types": .array(types.map { heap.json(of: $0) }),
            "leaks": .array(leaks.map(\.json)),
            "collections": .array(collections.map { heap.json(of: $0) }),
            "objects": .array(
                objects.map { path in
                    .object([
                        "object": path.objects.last?.json ?? .null,
                        "root": path.root?.json ?? .null,
                        "way": .array(path.objects.dropLast().map(\.json)),
                    ])
                }),
        ])
    }
}
