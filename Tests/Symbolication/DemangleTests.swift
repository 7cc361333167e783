import Foundation
import Symbolication
import TestSupport
import Testing

struct DemangleTests {
    @Test(
        arguments: [
            // Swift
            (
                "$s16activity_service19UserActivityTrackerC6record4user6actionySi_SStF",
                "UserActivityTracker.record(user:action:)"
            ),
            ("$s20FoundationEssentials6LocaleV14currencySymbolSSSgvg", "Locale.currencySymbol.getter"),
            ("$sSlsE5countSivg", "Swift.Collection.count.getter"),
            (
                "$s11SwiftSyntax024FunctionEffectSpecifiersB0V12throwsClauseAA06ThrowsgB0VSgvM.resume.0",
                "FunctionEffectSpecifiersSyntax.throwsClause.modify"
            ),
            (
                "$s19SWBTaskConstruction22XCTestHostTaskProducerC012generateTestD5Tasks33_5C0308184E13B142D353092F12CEF0A5LL"
                    + "yy8SWBMacro20MacroEvaluationScopeC_7SWBCore0E18GenerationDelegate_ptYaFTf4nen_nAA06Phasedf5BasedevW0"
                    + "C_Tg5", "XCTestHostTaskProducer.generateTestHostTasks(_:_:)"
            ),
            // Of the standard library's type, but a function of another module; and of a program's own type.
            ("$sSS20FoundationEssentialsE8EncodingV11japaneseEUCACvpZ", "static String.Encoding.japaneseEUC"),
            ("$sSa6appendyyxnF", "Swift.Array.append(_:)"),
            // C++
            ("_Z3foov", "foo()"),
            ("_ZN3FooC4Ev", "Foo::Foo()"),
            ("_ZThn8_N1A1fEv", "A::f()"),
            ("_Z3foov.cold", "foo()"),
            ("_Z3fooILi1EEiv.constprop.0", "foo<1>()"),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int>::push_back(int const&)"),
            (
                "_ZNSt13unordered_mapImSt6vectorI5EventSaIS1_EESt4hashImESt8equal_toImESaISt4pairIKmS3_EEEixERS9_",
                "std::unordered_map<unsigned long, std::vector<Event>>::operator[](unsigned long const&)"
            ),
            (
                "_ZNSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE5EventSt4lessIS5_ESaISt4pairIKS5_S6_EEEixERSA_",
                "std::map<std::string, Event>::operator[](std::string const&)"
            ),
            // The comparator is not the default one's place: an allocator as an argument stays.
            ("_Z1fiSaIiE", "f(int, std::allocator<int>)"),
            ("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const"),
            ("_ZZ4mainENKUlT_E_clIiEEDaS_", "main::{lambda(auto:1)#1}::operator()<int>(int) const"),
            ("_ZN3FoolsIiEERS_RKT_", "Foo::operator<< <int>(int const&)"),
            ("_ZN3FooltERKS_", "Foo::operator<(Foo const&)"),
            ("_ZN3FoocvbEv", "Foo::operator bool()"),
            ("_ZN3FooptEv", "Foo::operator->()"),
            ("_ZN12_GLOBAL__N_16hiddenERKSt6vectorIiSaIiEE", "(anonymous namespace)::hidden(std::vector<int> const&)"),
            ("_Znwm", "operator new(unsigned long)"),
            // Rust, legacy
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            (
                "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE",
                "<Test + 'static as foo::Bar<Test>>::bar"
            ),
            (
                "_ZN49_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$Drop$GT$4drop17h0123456789abcdefE.llvm.12",
                "<alloc::vec::Vec<T> as Drop>::drop"
            ),
            // Rust, v0: examples of RFC 2603 and of rustc's documentation
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"),
            ("_RNvMs_Cs4Cv8Wi1oAIB_7mycrateNtB4_7Example3foo", "<mycrate::Example>::foo"),
            ("_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_", "mycrate::main::{closure#0}"),
            ("_RINvCsaP8qXevlYG3_7mycrate7examplelE", "mycrate::example::<i32>"),
            ("_RINvNtC3std3mem8align_ofjdE", "std::mem::align_of::<usize, f64>"),
            ("_RNvXINtC3foo3BarppENtC3std5Clone5clone", nil),
            ("_RNvYNtC3foo3BarNtNtC4core5clone5Clone5clone", "<foo::Bar as core::clone::Clone>::clone"),
            (
                "_RINvC3foo3barRShTlxEAhj3_FUKCpEuDNtNtC4core3fmt5DebugEL_E",
                "foo::bar::<&[u8], (i32, i64), [u8; 3], unsafe extern \"C\" fn(_), dyn core::fmt::Debug>"
            ),
            ("_RINvC3foo3barKb1_Kc61_Kin5_E", "foo::bar::<true, 'a', -5>"),
            (
                "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
                "utf8_idents::საჭმელად_გემრიელი_სადილი"
            ),
            ("_RNvC3foo3bar.llvm.123", "foo::bar"),
            // None of them
            ("malloc", nil), ("main", nil), ("", nil), ("_", nil), ("_R", nil), ("_Z", nil), ("_ZN", nil), ("$s", nil),
            ("_RNvC3foo", nil), ("_RNvB_3foo", nil), ("_ZN4core17hE", nil), ("place", nil), ("$", nil), ("_T", nil),
        ] as [(String, String?)])
    func name(mangled: String, plain: String?) {
        #expect(demangle(mangled) == plain ?? mangled)
    }

    /// Whatever stands in a symbol table, the demanglers end, within bounds.
    @Test(arguments: [
        "$s16activity_service19UserActivityTrackerC6record4user6actionySi_SStF",
        "_ZNSt13unordered_mapImSt6vectorI5EventSaIS1_EESt4hashImESt8equal_toImESaISt4pairIKmS3_EEEixERS9_",
        "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE",
        "_RINvC3foo3barRShTlxEAhj3_FUKCpEuDNtNtC4core3fmt5DebugEL_E",
        "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
    ])
    func damagedNames(mangled: String) {
        var random = SplitMix64(seed: 1)
        let alphabet = Array("BCEGIKLMNQRSTXYZ_0123456789acdefhpsuv$.".utf8) + Array(mangled.utf8)
        for _ in 0..<2000 {
            var bytes = Array(mangled.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 2..<bytes.count, using: &random)
                if Int.random(in: 0..<4, using: &random) == 0 {
                    bytes.remove(at: index)
                } else {
                    bytes[index] = alphabet[Int.random(in: alphabet.indices, using: &random)]
                }
            }
            #expect(!demangle(String(decoding: bytes, as: UTF8.self)).isEmpty)
        }
    }

    /// Back references can double the name with every few letters.
    @Test func exponentialBackReferences() {
        let bomb = "_RINvC1a1b" + "TTTTTTTTTTTTTTTTTTTTTTTTlEB_B_EB_B_EB_B_EB_B_EB_B_EB_B_E"
        #expect(demangle(bomb) == bomb)
        let cycle = "_RINvC1a1bTB7_B7_B7_EE"
        #expect(demangle(cycle).utf8.count < 1 << 17)
        let deep = "_RINvC1a1b" + String(repeating: "S", count: 100_000) + "lE"
        #expect(demangle(deep) == deep)
    }

    /// Deep nesting ends the stack of the runtime's own demangler.
    @Test(arguments: [
        "$s4main1fyy\(String(repeating: "Say", count: 100_000))F", "_Z1f\(String(repeating: "P", count: 100_000))i",
    ])
    func deepNames(mangled: String) {
        #expect(demangle(mangled) == mangled)
    }

    /// Every Rust symbol of a program and of the standard library in it, against binutils.
    @Test(
        .enabled(if: ["rustc", "nm", "c++filt"].allSatisfy { tool($0) != nil }, "rustc or binutils is not installed"),
        arguments: ["legacy", "v0"])
    func rustSymbols(mangling: String) throws {
        let workshop = try Workshop()
        try workshop.write("program.rs", rustProgram)
        let place = try workshop.makePlace()
        try workshop.run(rustc(mangling: mangling) + ["-g", "-C", "link-arg=\(place)", "program.rs"])
        let names = try workshop.run(["nm", "program"]).split(separator: "\n").compactMap { line in
            line.split(separator: " ").last.map(String.init)
        }.filter { $0.hasPrefix("_R") || $0.contains("17h") }
        #expect(names.count > 200)
        let expected = try workshop.run(["c++filt", "--no-verbose"], input: names.joined(separator: "\n")).split(
            separator: "\n")
        for (name, plain) in zip(names, expected) {
            #expect(demangle(name) == plain, "\(name)")
        }
    }

    /// The runtime's demangler is also in programs that carry the Swift runtime themselves.
    @Test func staticRuntime() throws {
        let workshop = try Workshop()
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let sources = here.appendingPathComponent("../../Sources/Symbolication").standardizedFileURL.path
        let files = ["Demangle", "CxxNames", "RustLegacyNames", "RustNames", "RustNames+Grammar"].map {
            "\(sources)/\($0).swift"
        }
        try workshop.write(
            "main.swift", #"for name in CommandLine.arguments.dropFirst() { print(demangle(name)) }"#)
        try workshop.run(["swiftc", "-static-stdlib", "main.swift"] + files + ["-o", "program"])
        let output = try workshop.run([workshop.file("program"), "$sSlsE5countSivg", "_Z3foov", "_RNvC3foo3bar"])
        #expect(output == "Swift.Collection.count.getter\nfoo()\nfoo::bar\n")
    }
}
