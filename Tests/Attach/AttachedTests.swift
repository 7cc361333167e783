import Foundation
import HeapProfile
import TestSupport
import Testing

/// What an attached probe records, to the block.
@Suite(.serialized) struct AttachedTests {
    private static let allocates = """
        if (command == 'a') while (count-- > 0) keep(malloc(size));
        if (command == 'r') while (count-- > 0) keep(realloc(kept[--used], size));
        if (command == 'f') while (count-- > 0) free(kept[--used]);
        """

    @Test func whatComesAfterwardsIsRecordedAndNothingElse() throws {
        let program = try RunningProgram(Self.allocates)
        #expect(program.tell("a 10 5001"))
        let attached = try program.attach()
        #expect(attached.status == 0, "\(attached.errors)")
        #expect(attached.output.contains("heaptide snapshot \(program.pid)"))
        #expect(program.tell("a 9 5003") && program.tell("f 2 0") && program.tell("r 1 5005"))
        let first = try #require(try program.profiles().first)
        #expect(first.live(ofSize: 5001) == 0)
        #expect(first.live(ofSize: 5003) == 6)
        #expect(first.live(ofSize: 5005) == 1)
        #expect(first.process.pid == program.pid)
        #expect(first.sampling.isAttached && !first.sampling.isDetached)

        #expect(try program.detach().status == 0)
        #expect(program.tell("a 5 5007") && program.tell("f 12 0"))
        let second = try program.profiles()
        #expect(second.count == 1)
        #expect(second.first?.live(ofSize: 5007) == 0)
        #expect(second.first?.live(ofSize: 5003) == 6)
        #expect(second.first?.sampling.isDetached == true && second.first?.process.exited == false)

        #expect(try program.attach().status == 0)
        #expect(program.tell("a 3 5009") && program.tell("f 1 0"))
        let third = try program.profiles()
        #expect(third.count == 2)
        #expect(third.last?.live(ofSize: 5009) == 2)
        #expect(third.last?.live(ofSize: 5003) == 0)
        #expect(program.end() == 0)
    }

    @Test func lateLibrariesAreCovered() throws {
        let plugin = """
            #include <stdlib.h>
            void *make(int size) { return malloc(size); }
            void drop(void *block) { free(block); }
            """
        let program = try RunningProgram(
            """
            if (command == 'l') library = dlopen(size ? "./plugin.so" : "plugin.so", count);
            if (command == 'm') while (count-- > 0) keep(((void *(*)(int))dlsym(library, "make"))(size));
            if (command == 'd') while (count-- > 0) ((void (*)(void *))dlsym(library, "drop"))(kept[--used]);
            \(Self.allocates)
            """, top: "static void *library;", flags: ["-Wl,-rpath,$ORIGIN"],
            libraries: ["plugin.so": plugin])
        #expect(try program.attach().status == 0)
        // Once by its path, once by the program's own search path, where dlopen must see the program as its caller.
        for (named, size) in [(1, 6001), (0, 6003)] {
            #expect(program.tell("l \(2) \(named)"))
            #expect(program.tell("a 4 \(size)") && program.tell("m 5 \(size + 100)") && program.tell("d 7 0"))
            let profile = try #require(try program.profiles().first)
            #expect(profile.live(ofSize: UInt64(size)) == 2)
            #expect(profile.live(ofSize: UInt64(size) + 100) == 0)
        }
        #expect(program.end() == 0)
    }

    @Test func allThreadsAreRecorded() throws {
        let program = try RunningProgram(
            """
            if (command == 't') { target = size; pthread_barrier_wait(&begin); pthread_barrier_wait(&done); }
            if (command == 's') {
                pthread_barrier_init(&begin, NULL, 5), pthread_barrier_init(&done, NULL, 5);
                for (int i = 0; i < 4; i++) { pthread_t t; pthread_create(&t, NULL, work, NULL); }
            }
            """,
            top: """
                static pthread_barrier_t begin, done; static int target;
                static void *volatile lost;
                static void *work(void *unused) {
                    for (;;) {
                        pthread_barrier_wait(&begin);
                        for (int i = 0; i < 100; i++) { lost = malloc(target); free(malloc(target)); }
                        pthread_barrier_wait(&done);
                    }
                }
                """)
        #expect(program.tell("s 0 0") && program.tell("t 0 7001"))
        #expect(try program.attach().status == 0)
        #expect(program.tell("t 0 7003"))
        let profile = try #require(try program.profiles().first)
        #expect(profile.live(ofSize: 7003) == 400)
        #expect(profile.live(ofSize: 7001) == 0)
        #expect(program.end() == 0)
    }

    /// libstdc++'s operator new calls malloc, jemalloc's does not: each block is counted once all the same.
    @Test(arguments: [nil, "libjemalloc.so.2"] as [String?])
    func operatorsAreCountedOnce(_ allocator: String?) throws {
        let program = try RunningProgram(
            """
            if (command == 'n') while (count-- > 0) keep(::operator new(size));
            if (command == 'd') while (count-- > 0) ::operator delete(kept[--used]);
            if (command == 'a') while (count-- > 0) keep(malloc(size));
            """, isCxx: true, environment: allocator.map { ["LD_PRELOAD": $0] } ?? [:])
        #expect(program.tell("n 5 8001"))
        #expect(try program.attach().status == 0)
        #expect(program.tell("a 3 8003") && program.tell("n 9 8005") && program.tell("d 2 0"))
        let profile = try #require(try program.profiles().first)
        #expect(profile.live(ofSize: 8001) == 0)
        #expect(profile.live(ofSize: 8003) == 3)
        #expect(profile.live(ofSize: 8005) == 7)
        #expect(try program.detach().status == 0)
        #expect(program.tell("n 2 8007") && program.tell("d 2 0"))
        #expect(program.end() == 0)
    }

    @Test func forkedChildrenAreRecorded() throws {
        let program = try RunningProgram(
            """
            if (command == 'c' && fork() == 0) { while (count-- > 0) keep(malloc(size)); _exit(0); }
            if (command == 'c') { int status; wait(&status); if (status != 0) _exit(9); }
            """, top: "#include <sys/wait.h>")
        #expect(try program.attach().status == 0)
        #expect(program.tell("c 6 9001"))
        let profiles = try program.profiles()
        #expect(profiles.map { $0.live(ofSize: 9001) }.reduce(0, +) == 6)
        #expect(profiles.contains { $0.process.pid != program.pid })
        #expect(program.end() == 0)
    }

    @Test func theDoctorKnows() throws {
        let program = try RunningProgram(Self.allocates)
        func doctor(_ options: [String] = []) throws -> String {
            try run(Products.heaptide, ["doctor", "\(program.pid)"] + options).output
        }
        #expect(try doctor().contains("possible: heaptide attach \(program.pid)"))
        #expect(try program.attach().status == 0)
        #expect(try program.attach().errors.contains("has the probe attached already"))
        // Its ledger is found where it has it mapped, though nobody names the folder.
        #expect(try doctor().contains("the probe records this process in \(program.folder.file("ledgers"))"))
        #expect(try run(Products.heaptide, ["probe", "\(program.pid)"]).output.contains("recording"))
        let ordered = try run(Products.heaptide, ["probe", "\(program.pid)", "--interval", "64KiB"]).output
        #expect(ordered.contains("every allocation;"), "\(ordered)")
        #expect(ordered.contains("ordered    one in 64 KiB at the finest, from its next sample on\n"), "\(ordered)")
        let ledgers = ["--ledgers", program.folder.file("ledgers")]
        #expect(try program.detach().status == 0)
        #expect(try doctor(ledgers).contains("the probe was detached"))
        #expect(try doctor(ledgers).contains("possible: heaptide attach \(program.pid)"))
        #expect(try run(Products.heaptide, ["probe", "\(program.pid)"] + ledgers).errors.contains("was detached"))
        #expect(program.end() == 0)
    }
}
