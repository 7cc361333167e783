import HeapProfile

/// From return addresses to the stack that a reader wants to see, and to the function that is responsible.
struct StackResolver {
    struct Key: Hashable {
        var function: String
        var module: String
    }

    private let modules: [Module]
    private let symbols: SymbolTable
    /// Frames of each address, as most addresses stand in many stacks.
    private var known: [CodeAddress: [StackFrame]] = [:]

    init(profile: HeapProfile, symbols: SymbolTable) {
        modules = profile.modules
        self.symbols = symbols
    }

    /// - Returns: the responsible function, and the stack from it outwards.
    mutating func resolve(_ stack: [CodeAddress], showsFoldedFrames: Bool) -> (key: Key, stack: [StackFrame]) {
        let frames = stack.flatMap { self.frames(of: $0) }
        guard let index = responsible(frames) else { return (Key(function: "(stack lost)", module: ""), []) }
        let owner = frames[index]
        let key = Key(function: FunctionName(owner.function).owner, module: owner.module)
        if showsFoldedFrames { return (key, frames) }
        // What was being made says what is leaked.
        let made = frames[..<index].filter { $0.role == .constructor && !$0.function.contains("__allocating_init") }
        return (key, Self.folded(made + frames[index...]))
    }

    /// The first frame and the program's own ones after it, those of one function in a row (closures, inlined parts,
    /// recursion) only once.
    private static func folded(_ frames: ArraySlice<StackFrame>) -> [StackFrame] {
        var shown: [StackFrame] = []
        var owner = ""
        for frame in frames where shown.isEmpty || frame.role.isShown {
            let name = FunctionName(frame.function).owner
            if name != owner { shown.append(frame) }
            owner = name
        }
        return shown
    }

    /// The innermost frame of the program itself. A constructor only does what its caller asked for; where there is
    /// neither (all runtime, or without symbols), the innermost frame that does not merely hand out memory.
    private func responsible(_ frames: [StackFrame]) -> Int? {
        frames.firstIndex { $0.role == .application }
            ?? frames.firstIndex { $0.role == .constructor }
            ?? frames.firstIndex { $0.role != .allocator }
            ?? frames.indices.first
    }

    private mutating func frames(of address: CodeAddress) -> [StackFrame] {
        if let frames = known[address] { return frames }
        let frames = symbols.frames(of: address, in: modules).map {
            StackFrame(function: $0.label, module: $0.module, file: $0.file, line: $0.line, role: FrameRole(of: $0))
        }
        known[address] = frames
        return frames
    }
}

extension FrameRole {
    fileprivate var isShown: Bool { self == .application || self == .constructor }
}
