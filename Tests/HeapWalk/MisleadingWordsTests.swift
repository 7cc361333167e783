import HeapProfile
import TestSupport
import Testing

/// Words that lead into the heap and hold nothing: what freed memory left behind, what a stack works with, and what lies where
/// a file that is only read would have its variables.
@Suite struct MisleadingWordsTests {
    /// Buffers that are never filled hold what the allocator's lists of free chunks left in them: of a long list in whose midst
    /// such words lead, all is its head's.
    @Test func whatFreedChunksLeftBehindTakesNothingFromAList() throws {
        let program = try WatchedProgram(
            """
            struct Item { char body[992]; Item *next; };
            static Item *kept;
            static volatile char *ring[256];
            static void work() {
                for (unsigned i = 0; i < 200000; i++) {
                    free((void *)ring[i % 256]);
                    ring[i % 256] = (volatile char *)malloc(100 + i * 7919 % 20000);
                    ring[i % 256][0] = 1;
                    if (i % 10) continue;
                    Item *item = (Item *)malloc(sizeof(Item));
                    memset(item, 1, sizeof *item);
                    item->next = kept;
                    kept = item;
                }
            }
            """, flags: ["-O1", "-fno-builtin"])
        let survey = try survey(program)
        let kept = try #require(survey.roots.first)
        #expect(kept.name == "kept" && kept.retainedCount == 20_000, "\(kept)")
        #expect(survey.leaks.isEmpty, "\(survey.leaks)")
    }

    /// What works with a table by another way, on a stack, takes none of it: not its nodes, which a list leads to as well, nor a
    /// block that the variable leads into the midst of.
    @Test(arguments: ["table", "server"]) func aStackTakesNothingFromAName(name: String) throws {
        let program = try WatchedProgram(
            """
            struct Node { Node *chain, *order; char body[240]; };
            static Node **table;
            struct Item { long a, b; Item *next, *before; char **data; long e; };
            struct Server { long x; void *pool; char pad[300]; };
            static Server *volatile server;
            static std::atomic<bool> isThere;
            static void *makeTable() {
                Node *first = nullptr;
                table = (Node **)calloc(4000, sizeof *table);
                for (unsigned i = 0; i < 12000; i++) {
                    Node *node = (Node *)calloc(1, sizeof *node);
                    node->order = first, node->chain = table[i * 2654435761u % 4000];
                    first = table[i * 2654435761u % 4000] = node;
                }
                return first;
            }
            static void *makeServer() {
                Item *all[200];
                for (Item *&item : all) item = (Item *)calloc(1, sizeof(Item));
                all[77]->data = (char **)calloc(12000, sizeof(char *));
                for (int i = 0; i < 12000; i++) all[77]->data[i] = (char *)calloc(1, 100);
                server = (Server *)calloc(1, sizeof *server);
                server->pool = &all[77]->next;
                return all[77];
            }
            static void work() {
                std::thread([] {
                    void *volatile kept = !strcmp("\(name)", "table") ? makeTable() : makeServer();
                    isThere = true;
                    for (;;) pause();
                    kept = nullptr;
                }).detach();
                while (!isThere) usleep(100);
            }
            """, flags: ["-O1", "-fno-builtin-calloc"])
        let root = try #require(try survey(program).roots.first)
        #expect(root.name == name && root.retainedCount >= 12_000, "\(root)")
    }

    /// The loader alone writes constants: what looks like an address there is a number.
    @Test func constantsHoldNothing() throws {
        let program = try WatchedProgram(
            """
            #include <sys/mman.h>
            __attribute__((section(".data.rel.ro"))) static void *volatile constant = (void *)&constant;
            static void work() {
                mprotect((void *)((uintptr_t)&constant & ~4095ul), 4096, PROT_READ | PROT_WRITE);
                constant = malloc(7777);
            }
            """, flags: ["-O1", "-Wl,-z,relro"])
        let survey = try survey(program)
        #expect(survey.leaks.map(\.bytes) == [7784], "\(survey.leaks)")
    }

    /// A file that the program reads, its own among them, has no variables there; what it says of itself may be anything.
    @Test func filesThatAreMappedToBeReadAreNoModules() throws {
        let program = try WatchedProgram(
            """
            #include <elf.h>
            #include <fcntl.h>
            #include <sys/mman.h>
            struct Item { Item *next; char body[1000]; };
            static Item *kept;
            static void map(int file) { mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE, file, 0); }
            static void work() {
                for (int i = 0; i < 2000; i++) {
                    Item *item = (Item *)calloc(1, sizeof(Item));
                    item->next = kept, kept = item;
                }
                map(open("/proc/self/exe", O_RDONLY));
                union { char bytes[4096]; Elf64_Ehdr head; } hostile = {};
                hostile.head = {.e_type = ET_EXEC, .e_phoff = 64, .e_phentsize = 56, .e_phnum = 1};
                memcpy(hostile.head.e_ident, "\\177ELF\\2\\1\\1", 7);
                *(Elf64_Phdr *)(hostile.bytes + 64) = {
                    .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = -4096ul, .p_memsz = 1 << 16};
                char path[] = "/tmp/heaptide-test-XXXXXX";
                int file = mkstemp(path);
                unlink(path);
                write(file, hostile.bytes, sizeof hostile);
                map(file);
                // As a coroutine's stack, so that it is looked at what is mapped.
                void **room = (void **)mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                room[0] = malloc(7777);
            }
            """, flags: ["-O1", "-no-pie", "-Wl,-Ttext-segment=0x70000000"])  // where hardly a number leads by chance
        let survey = try survey(program)
        #expect(survey.roots.filter { $0.name == "kept" }.map(\.retainedCount) == [2000], "\(survey.roots)")
    }
}
