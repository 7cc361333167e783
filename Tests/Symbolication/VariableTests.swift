import HeapProfile
import Symbolication
import Testing

/// Variables and their declared types, as different compilers write them down.
@Suite struct VariableTests {
    private static let source = """
        #include <map>
        #include <memory>
        #include <string>
        #include <unordered_map>
        #include <vector>
        namespace app {
        struct Event { long id[6]; virtual ~Event() = default; };
        struct Tracker { static std::map<std::string, std::vector<Event>> cache; };
        std::map<std::string, std::vector<Event>> Tracker::cache;
        using Table = std::unordered_map<int, std::unique_ptr<Event>>;
        Table table;
        }
        static std::vector<app::Event> events;
        thread_local std::vector<std::string> mine;
        const app::Event *volatile newest;
        long numbers[7];
        std::vector<bool> packed;
        std::vector<long> &counters() { static std::vector<long> all; return all; }
        int main() { return (int)(app::Tracker::cache.size() + app::table.size() + events.size() + mine.size()
            + (newest != nullptr) + numbers[3] + packed.size() + counters().size()); }
        """

    @Test(arguments: [
        ["g++", "-g"], ["g++", "-g", "-O2", "-gdwarf-4"], ["clang++", "-g", "-gdwarf-5", "-fstandalone-debug"],
    ])
    func declaredTypes(compiler: [String]) throws {
        let workshop = try Workshop()
        try workshop.write("program.cpp", Self.source)
        try workshop.run(compiler + ["-std=c++17", "-o", "program", "program.cpp"])
        var found: [String: Variable] = [:]
        for variable in Symbolicator().variables(of: workshop.file("program")) where !variable.name.hasPrefix("_ZGV") {
            found[demangle(variable.name).replacing("[abi:cxx11]", with: "")] = variable
        }
        func type(_ name: String) -> String? { found[name]?.type }
        #expect(type("app::Tracker::cache") == "std::map<std::string, std::vector<app::Event>>")
        #expect(type("app::table") == "app::Table")
        #expect(type("events") == "std::vector<app::Event>" && found["events"]?.elementSize == 56)
        #expect(type("mine") == "std::vector<std::string>" && found["mine"]?.elementSize == 32)
        #expect(found["mine"]?.isThreadLocal == true)
        #expect(type("newest") == "const app::Event *")
        #expect(type("numbers") == "long[]" || type("numbers") == "long int[]")
        #expect(type("packed")?.hasPrefix("std::vector<bool") == true && found["packed"]?.elementSize == nil)
        #expect(found["counters()::all"]?.elementSize == 8, "\(String(describing: found["counters()::all"]))")
    }

    @Test func withoutDebugInformation() throws {
        let workshop = try Workshop()
        try workshop.write("program.cpp", Self.source)
        try workshop.run(["g++", "-std=c++17", "-o", "program", "program.cpp"])
        let variables = Symbolicator().variables(of: workshop.file("program"))
        #expect(variables.contains { $0.name == "numbers" } && variables.allSatisfy { $0.type == nil })
    }
}
