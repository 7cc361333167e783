import HeapProfile
import Symbolication
import Testing

/// Programs of each language print where they called `place`; the lookup must name these places.
struct ResolveTests {
    private func resolve(_ program: String, in workshop: Workshop) throws -> [[String]] {
        let modules = [Module(path: workshop.file(program))]
        let places = try workshop.places(program)
        var symbolicator = Symbolicator(debugDirectories: [])
        let table = symbolicator.resolve(places, in: modules)
        #expect(symbolicator.notes == [])
        return places.map { brief(table, $0, in: modules) }
    }

    @Test(arguments: ["clang", "gcc"], [4, 5])
    func inlinedC(compiler: String, dwarf: Int) throws {
        if tool(compiler) == nil { try Test.cancel("\(compiler) is not installed") }
        let workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        try workshop.run([
            compiler, "-O2", "-gdwarf-\(dwarf)", "program.c", try workshop.makePlace(), "-o", "program",
        ])
        #expect(try resolve("program", in: workshop) == [cFrames])
    }

    @Test(arguments: ["clang++", "g++"], [4, 5])
    func inlinedCxx(compiler: String, dwarf: Int) throws {
        if tool(compiler) == nil { try Test.cancel("\(compiler) is not installed") }
        let workshop = try Workshop()
        try workshop.write("program.cc", cxxProgram)
        try workshop.run([
            compiler, "-std=c++17", "-O2", "-gdwarf-\(dwarf)", "program.cc", try workshop.makePlace(), "-o", "program",
        ])
        let frames = try resolve("program", in: workshop)
        #expect(Array(frames.prefix(2)) == cxxFrames)
        // GCC and clang number lambdas their own ways.
        #expect(frames.last?.last?.hasPrefix("main::") == true)
        #expect(frames.last?.last?.hasSuffix("program.cc:35") == true)
    }

    /// DWARF calls all of them `operator()`, and GCC's has no other name for one that is only there inlined.
    @Test(arguments: ["clang++", "g++"])
    func lambdasAreApart(compiler: String) throws {
        if tool(compiler) == nil { try Test.cancel("\(compiler) is not installed") }
        let workshop = try Workshop()
        try workshop.write(
            "program.cc",
            """
            extern "C" void place();
            namespace { struct Hash { void operator()() const { place(); } }; }
            int main() {
                auto first = [] { place(); }; auto second = [] { place(); };
                first();
                second();
                Hash()();
                return 0;
            }
            """)
        try workshop.run([compiler, "-O2", "-g", "program.cc", try workshop.makePlace(), "-o", "program"])
        let frames = try resolve("program", in: workshop)
        #expect(frames.map(\.last) == ["main program.cc:5", "main program.cc:6", "main program.cc:7"])
        let names =
            compiler == "g++"
            ? ["lambda at program.cc:4:19 ", "lambda at program.cc:4:50 ", "Hash::operator() "]
            : ["main::$_0", "main::$_1", "(anonymous namespace)::Hash::operator()() const"]
        for (frame, name) in zip(frames, names) { #expect(frame.first?.hasPrefix("> \(name)") == true, "\(frame)") }
    }

    @Test func optimizedSwift() throws {
        let workshop = try Workshop()
        try workshop.write("program.swift", swiftProgram)
        let place = try workshop.makePlace()
        try workshop.run(["swiftc", "-O", "-g", "program.swift", place, "-o", "program"])
        let frames = try resolve("program", in: workshop)
        #expect(
            frames == [
                ["> Tracker.insert(_:_:) program.swift:16", "Tracker.record(user:action:) program.swift:9"],
                // swiftc says that the copy of `run` made for this closure is in no file.
                ["> closure #1 in top-level code program.swift:32", "static Service.run(_:)"],
            ])
    }

    @Test(
        .enabled(if: tool("rustc") != nil, "rustc is not installed"),
        arguments: [
            ("legacy", "<program::app::Tracker<T> as program::app::Recorder>::record program.rs:8"),
            ("v0", "<program::app::Tracker<alloc::string::String> as program::app::Recorder>::record program.rs:8"),
        ])
    func optimizedRust(mangling: String, outer: String) throws {
        let workshop = try Workshop()
        try workshop.write("program.rs", rustProgram)
        let place = try workshop.makePlace()
        try workshop.run(rustc(mangling: mangling) + ["-O", "-g", "-C", "link-arg=\(place)", "program.rs"])
        let frames = try resolve("program", in: workshop)
        #expect(frames.first?.last == outer)
        #expect(frames.first?.first?.hasSuffix("insert program.rs:16") == true)
    }

    @Test(arguments: ["--compress-debug-sections=zlib-gabi", "--compress-debug-sections=zlib-gnu"])
    func compressedSections(option: String) throws {
        if tool("objcopy") == nil { try Test.cancel("objcopy is not installed") }
        let workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        try workshop.run(["clang", "-O2", "-g", "program.c", try workshop.makePlace(), "-o", "plain"])
        try workshop.run(["objcopy", option, "plain", "program"])
        #expect(try resolve("program", in: workshop) == [cFrames])
    }

    @Test func splitDwarf() throws {
        let workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        let place = try workshop.makePlace()
        try workshop.run(["clang", "-O2", "-g", "-gdwarf-5", "-gsplit-dwarf", "-c", "program.c", "-o", "program.o"])
        try workshop.run(["clang", "program.o", place, "-o", "program"])
        #expect(try resolve("program", in: workshop) == [cFrames])
    }

    @Test func symbolTableAlone() throws {
        let workshop = try Workshop()
        try workshop.write("program.c", cProgram)
        try workshop.run(["clang", "-O2", "program.c", try workshop.makePlace(), "-o", "program"])
        #expect(try resolve("program", in: workshop) == [["outer"]])
    }

    /// Optimizers give line 0 to code that belongs to no line of the source.
    @Test func lineZero() throws {
        let workshop = try Workshop()
        try workshop.write(
            "program.c",
            """
            void place(void);
            int main(void) {
            #line 0 "made.c"
                place();
                return 0;
            }
            """)
        try workshop.run(["clang", "-g", "-w", "program.c", try workshop.makePlace(), "-o", "program"])
        #expect(try resolve("program", in: workshop) == [["main made.c"]])
    }

    /// A function of assembly often states neither size nor type; "longer_name" is an alias that nobody calls it by.
    @Test func assemblyLabels() throws {
        let workshop = try Workshop()
        try workshop.write("program.c", "void labelled(void); int main(void) { labelled(); return 0; }")
        try workshop.write(
            "labelled.s",
            """
            .text
            .globl labelled, __labelled
            labelled:
            __labelled:
                push %rbp
                call place
                pop %rbp
                ret
            .section .note.GNU-stack,"",@progbits
            """)
        #if arch(x86_64)
            try workshop.run(["clang", "program.c", "labelled.s", try workshop.makePlace(), "-o", "program"])
            #expect(try resolve("program", in: workshop) == [["labelled"]])
        #endif
    }

    /// A call that never returns may be the last instruction of its function.
    @Test func returnAddressAfterTheFunctionsEnd() throws {
        let workshop = try Workshop()
        try workshop.write(
            "program.c",
            """
            __attribute__((noreturn)) void leave(void);
            __attribute__((noinline)) void last(void) { leave(); }
            void next(void) {}
            int main(void) { last(); }
            """)
        try workshop.write(
            "leave.c",
            """
            #include <stdio.h>
            #include <stdlib.h>
            extern char __executable_start;
            void leave(void) {
                printf("%lx\\n", (unsigned long)((char *)__builtin_return_address(0) - &__executable_start));
                exit(0);
            }
            """)
        try workshop.run(["clang", "-O1", "-g", "-fno-optimize-sibling-calls", "program.c", "leave.c", "-o", "program"])
        #expect(try resolve("program", in: workshop) == [["last program.c:2"]])
    }

    /// The machine's C library, with or without its debug file: readers look for the names they call.
    @Test func allocatorOfTheCLibrary() throws {
        let names = ["malloc", "calloc", "realloc", "posix_memalign"]
        let workshop = try Workshop()
        try workshop.write(
            "program.c",
            """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <stdio.h>
            int main(int count, char **names) {
                for (int i = 1; i < count; i++) {
                    Dl_info info;
                    char *function = dlsym(RTLD_DEFAULT, names[i]);
                    if (!function || !dladdr(function, &info)) return 1;
                    printf("%s %lx\\n", info.dli_fname, (unsigned long)(function - (char *)info.dli_fbase));
                }
            }
            """)
        try workshop.run(["clang", "program.c", "-ldl", "-o", "program"])
        for (name, line) in zip(names, try workshop.run([workshop.file("program")] + names).split(separator: "\n")) {
            let parts = line.split(separator: " ")
            let start = try #require(UInt64(parts[1], radix: 16))
            let address = CodeAddress(module: 0, offset: start + 5)
            var symbolicator = Symbolicator()
            let table = symbolicator.resolve([address], in: [Module(path: String(parts[0]))])
            #expect(table.frames[address]?.last?.function == name)
        }
    }
}
