/// Why the heap of a process could not be read; `description` is one line that says what to do.
public struct HeapWalkError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// There is no such process, or it may not be traced.
        case processUnreadable
        /// Its allocator is not glibc's, or of a version that is not known.
        case foreignAllocator
        /// It was caught in the midst of allocating each time, or a thread could not be stopped.
        case busy
        /// There is not the memory to look through it.
        case tooLarge
    }

    public var code: Code
    public var description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
