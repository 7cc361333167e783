import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Compares `text` with the file `Golden/NAME` beside the tests. HEAPTIDE_RECORD=1 writes the files anew instead: look
/// at the difference before it is committed.
func expectGolden(_ text: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let path = folder() + "/Golden/" + name
    if let record = getenv("HEAPTIDE_RECORD"), String(cString: record) == "1" {
        #expect(write(text, to: path), "cannot write \(path)", sourceLocation: sourceLocation)
    } else {
        #expect(
            read(path) == text, "differs from \(name); HEAPTIDE_RECORD=1 records it", sourceLocation: sourceLocation)
    }
}

private func folder(_ file: String = #filePath) -> String {
    file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
}

private func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var byte = getc(file)
    while byte != EOF {
        bytes.append(UInt8(truncatingIfNeeded: byte))
        byte = getc(file)
    }
    return String(decoding: bytes, as: UTF8.self)
}

private func write(_ text: String, to path: String) -> Bool {
    guard let file = fopen(path, "w") else { return false }
    defer { fclose(file) }
    return fputs(text, file) >= 0
}
