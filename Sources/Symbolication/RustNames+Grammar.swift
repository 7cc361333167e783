/// Paths, types and constants: the productions of RFC 2603, each with its grammar above it.
extension RustDemangler {
    // path = "C" identifier | "M" impl-path type | "X" impl-path type path | "Y" type path
    //      | "N" namespace path identifier | "I" path {generic-arg} "E" | backref
    mutating func path(isValue: Bool) throws {
        try nested { my in
            switch try my.next() {
            case UInt8(ascii: "C"):
                _ = try my.optionalBase62("s")
                my.print(try my.identifier())
            case UInt8(ascii: "M"):
                try my.implPath()
                try my.qualified(hasTrait: false)
            case UInt8(ascii: "X"):
                try my.implPath()
                try my.qualified(hasTrait: true)
            case UInt8(ascii: "Y"): try my.qualified(hasTrait: true)
            case UInt8(ascii: "N"): try my.nestedPath(isValue: isValue)
            case UInt8(ascii: "I"):
                try my.path(isValue: isValue)
                my.print(isValue ? "::<" : "<")
                try my.list(separator: ", ") { try $0.genericArgument() }
                my.print(">")
            case UInt8(ascii: "B"):
                try my.backReference { try $0.path(isValue: isValue) }
            default: throw Malformed()
            }
        }
    }

    private mutating func implPath() throws {
        try silently { my in
            _ = try my.optionalBase62("s")
            try my.path(isValue: false)
        }
    }

    private mutating func qualified(hasTrait: Bool) throws {
        print("<")
        try type()
        if hasTrait {
            print(" as ")
            try path(isValue: false)
        }
        print(">")
    }

    private mutating func nestedPath(isValue: Bool) throws {
        let namespace = try next()
        try path(isValue: isValue)
        let disambiguator = try optionalBase62("s")
        let name = try identifier()
        switch namespace {
        case UInt8(ascii: "a")...UInt8(ascii: "z"):
            if !name.isEmpty { print("::" + name) }
        case UInt8(ascii: "A")...UInt8(ascii: "Z"):
            // Things without a name of their own: closures, shims.
            let kind =
                switch namespace {
                case UInt8(ascii: "C"): "closure"
                case UInt8(ascii: "S"): "shim"
                default: String(Unicode.Scalar(namespace))
                }
            print("::{\(kind)\(name.isEmpty ? "" : ":" + name)#\(disambiguator)}")
        default: throw Malformed()
        }
    }

    // generic-arg = "L" base-62 | "K" const | type
    private mutating func genericArgument() throws {
        if take("L") {
            try lifetime()
        } else if take("K") {
            try constant()
        } else {
            try type()
        }
    }

    /// Lifetimes count from the innermost binder; 0 is erased.
    private mutating func lifetime() throws { print(try lifetimeName(try base62())) }

    private func lifetimeName(_ index: Int) throws -> String {
        if index == 0 { return "'_" }
        guard index <= boundLifetimes else { throw Malformed() }
        let depth = boundLifetimes - index
        guard depth < 26 else { return "'_\(depth)" }
        return "'" + String(Unicode.Scalar(UInt8(ascii: "a") + UInt8(depth)))
    }

    /// binder = "G" base-62: runs `body` with that many lifetimes more.
    private mutating func withBinder(
        _ body: (inout RustDemangler) throws -> Void
    ) throws {
        let count = try optionalBase62("G")
        guard count < 64 else { throw Malformed() }
        let outer = boundLifetimes
        boundLifetimes += count
        if count > 0 {
            var names: [String] = []
            for index in (1...count).reversed() { names.append(try lifetimeName(index)) }
            print("for<\(names.joined(separator: ", "))> ")
        }
        try body(&self)
        boundLifetimes = outer
    }

    private static let basicTypes: [UInt8: String] = Dictionary(
        uniqueKeysWithValues: [
            ("a", "i8"), ("b", "bool"), ("c", "char"), ("d", "f64"), ("e", "str"), ("f", "f32"), ("h", "u8"),
            ("i", "isize"), ("j", "usize"), ("l", "i32"), ("m", "u32"), ("n", "i128"), ("o", "u128"), ("p", "_"),
            ("s", "i16"), ("t", "u16"), ("u", "()"), ("v", "..."), ("x", "i64"), ("y", "u64"), ("z", "!"),
        ].map { (UInt8(ascii: $0.0), $0.1) })

    // type = basic-type | path | "A" type const | "S" type | "T" {type} "E" | "R" ["L" base-62] type | "Q" … | "P" type
    //      | "O" type | "F" fn-sig | "D" dyn-bounds | backref
    mutating func type() throws {
        try nested { my in
            let tag = try my.next()
            if let basic = Self.basicTypes[tag] { return my.print(basic) }
            switch tag {
            case UInt8(ascii: "A"), UInt8(ascii: "S"): try my.sequence(isArray: tag == UInt8(ascii: "A"))
            case UInt8(ascii: "T"):
                my.print("(")
                let count = try my.list(separator: ", ") { try $0.type() }
                my.print(count == 1 ? ",)" : ")")
            case UInt8(ascii: "R"), UInt8(ascii: "Q"): try my.reference(isMutable: tag == UInt8(ascii: "Q"))
            case UInt8(ascii: "P"):
                my.print("*const ")
                try my.type()
            case UInt8(ascii: "O"):
                my.print("*mut ")
                try my.type()
            case UInt8(ascii: "F"):
                try my.withBinder { try $0.functionSignature() }
            case UInt8(ascii: "D"): try my.dynamicType()
            case UInt8(ascii: "B"): try my.backReference { try $0.type() }
            default:
                my.index -= 1
                try my.path(isValue: false)
            }
        }
    }

    private mutating func sequence(isArray: Bool) throws {
        print("[")
        try type()
        if isArray {
            print("; ")
            try constant()
        }
        print("]")
    }

    private mutating func reference(isMutable: Bool) throws {
        print("&")
        if take("L") {
            let index = try base62()
            if index > 0 { print(try lifetimeName(index) + " ") }
        }
        if isMutable { print("mut ") }
        try type()
    }

    // fn-sig = ["U"] ["K" abi] {type} "E" type
    private mutating func functionSignature() throws {
        if take("U") { print("unsafe ") }
        if take("K") {
            let abi = take("C") ? "C" : try identifier().replacing("_", with: "-")
            print("extern \"\(abi)\" ")
        }
        print("fn(")
        try list(separator: ", ") { try $0.type() }
        print(")")
        if take("u") { return }
        print(" -> ")
        try type()
    }

    // dyn-bounds = [binder] {dyn-trait} "E" "L" base-62
    private mutating func dynamicType() throws {
        print("dyn ")
        try withBinder { my in
            try my.list(separator: " + ") { try $0.dynamicTrait() }
        }
        guard take("L") else { throw Malformed() }
        let index = try base62()
        if index > 0 { print(" + " + (try lifetimeName(index))) }
    }

    // dyn-trait = path {"p" identifier type}
    private mutating func dynamicTrait() throws {
        var isOpen = try pathLeavingArgumentsOpen()
        while take("p") {
            print(isOpen ? ", " : "<")
            isOpen = true
            print(try identifier() + " = ")
            try type()
        }
        if isOpen { print(">") }
    }

    /// The trait's bindings stand among its generic arguments.
    private mutating func pathLeavingArgumentsOpen() throws -> Bool {
        var isOpen = false
        if take("B") {
            try backReference { my in isOpen = try my.pathLeavingArgumentsOpen() }
        } else if take("I") {
            try path(isValue: false)
            print("<")
            try list(separator: ", ") { try $0.genericArgument() }
            isOpen = true
        } else {
            try path(isValue: false)
        }
        return isOpen
    }

    // const = type const-data | "p" | backref; const-data = ["n"] {hex-digit} "_"
    private mutating func constant() throws {
        try nested { my in
            if my.take("B") {
                return try my.backReference { try $0.constant() }
            }
            let type = try my.next()
            if type == UInt8(ascii: "p") { return my.print("_") }
            let isNegative = my.take("n")
            let digits = try my.hexDigits()
            switch type {
            case UInt8(ascii: "b"): my.print(digits == "1" ? "true" : "false")
            case UInt8(ascii: "c"):
                guard let scalar = UInt32(digits, radix: 16).flatMap(Unicode.Scalar.init) else { throw Malformed() }
                my.print("'\(Character(scalar))'")
            default:
                guard "ahijlmnostxy".utf8.contains(type) else { throw Malformed() }
                let value = UInt64(digits, radix: 16).map { String($0) } ?? "0x" + digits
                my.print((isNegative ? "-" : "") + value)
            }
        }
    }

    private mutating func hexDigits() throws -> String {
        let start = index
        while let byte = peek, byte != UInt8(ascii: "_") {
            guard Character(Unicode.Scalar(byte)).isHexDigit else { throw Malformed() }
            index += 1
        }
        let digits = String(decoding: bytes[start..<index], as: UTF8.self)
        guard take("_") else { throw Malformed() }
        return digits.isEmpty ? "0" : digits
    }
}
