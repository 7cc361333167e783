import CLinux
import RemoteProcess

/// 236 for a process with glibc 2.36, by what libc's own text says; nil where there is no glibc.
func glibcVersion(_ memory: RemoteMemory, _ map: MemoryMap) -> Int? {
    let mark = Array("release version 2.".utf8)
    for mapping in map.mappings where mapping.isReadable && !mapping.isWritable && !mapping.isExecutable {
        let name = fileName(mapping.path)
        guard name.hasPrefix("libc.so.6") || name.hasPrefix("libc-2."), mapping.end - mapping.start < 16 << 20,
            let bytes = memory.read(mapping.start, Int(mapping.end - mapping.start))
        else { continue }
        let found = bytes.withUnsafeBytes { bytes in
            mark.withUnsafeBytes { clinux_find(bytes.baseAddress, bytes.count, $0.baseAddress, $0.count) }
        }
        guard found >= 0 else { continue }
        let digits = bytes[(found + mark.count)...].prefix(2).filter { (48...57).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self)).map { 200 + $0 }
    }
    return nil
}
