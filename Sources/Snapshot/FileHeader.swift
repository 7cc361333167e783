import Glibc

/// The first hundred bytes of a SQLite file, which tell what it is before SQLite is asked (sqlite.org/fileformat2.html).
struct FileHeader {
    var applicationID: UInt32
    var version: UInt32
    /// What the file should measure, and what it does.
    var expectedSize: Int
    var size: Int
    var pageSize: Int

    var isCut: Bool { size < expectedSize }
    var isSnapshot: Bool { applicationID == Format.applicationID }

    /// What is said of a cut one of which not even the list of its tables can be read.
    func nothingIsLeft(_ path: String) -> SnapshotError {
        SnapshotError(.cut, path, "the snapshot was cut to \(size) of \(expectedSize) bytes: nothing is left of it")
    }

    /// nil where the file is not a SQLite database.
    init?(path: String) throws(SnapshotError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SnapshotError(reading: path, errno: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SnapshotError(reading: path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw SnapshotError(reading: path, errno: errno) }
        guard count == bytes.count, bytes.starts(with: Array("SQLite format 3\0".utf8)) else { return nil }
        func bigEndian(_ offset: Int, _ length: Int) -> UInt32 {
            bytes[offset..<(offset + length)].reduce(0) { $0 << 8 | UInt32($1) }
        }
        let page = bigEndian(16, 2)
        pageSize = page == 1 ? 65536 : Int(page)
        expectedSize = Int(bigEndian(28, 4)) * pageSize
        size = Int(clamping: status.st_size)
        version = bigEndian(60, 4)
        applicationID = bigEndian(68, 4)
    }
}
