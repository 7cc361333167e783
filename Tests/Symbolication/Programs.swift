/// A C program of one file: `probed` is inlined into `outer`, which `main` calls.
let cProgram = """
    void place(void);
    static volatile int sink;
    static inline __attribute__((always_inline)) void probed(void) {
        place();
        sink = 1;
    }
    __attribute__((noinline)) void outer(void) {
        probed();
        sink = 2;
    }
    int main(void) {
        outer();
        return 0;
    }
    """

let cFrames = ["> probed program.c:4", "outer program.c:8"]

/// Templates, a namespace, an anonymous one and a lambda; the middle place has two levels of inlining.
let cxxProgram = """
    #include <map>
    #include <string>
    #include <vector>
    extern "C" void place();
    static volatile int sink;
    #define NEVER_INLINE __attribute__((noinline))
    #define ALWAYS_INLINE inline __attribute__((always_inline))
    namespace app {
    template <class Key> struct Tracker {
        std::map<Key, std::vector<std::string>> cache;
        NEVER_INLINE void record(const Key &user, std::string action) {
            insert(user, action);
            sink = 1;
        }
        ALWAYS_INLINE void insert(const Key &user, const std::string &action) {
            cache[user].push_back(action);
            probed<3>();
        }
        template <int Count> ALWAYS_INLINE void probed() {
            place();
            sink = Count;
        }
    };
    }
    namespace {
    NEVER_INLINE void hidden(const std::vector<int> &) {
        place();
        sink = 4;
    }
    }
    int main() {
        hidden({1, 2});
        app::Tracker<std::string>().record("user", "action");
        auto closure = [&](long) NEVER_INLINE {
            place();
            sink = 5;
        };
        closure(1);
    }
    """

let cxxFrames = [
    ["(anonymous namespace)::hidden(std::vector<int> const&) program.cc:27"],
    [
        "> app::Tracker<std::string>::probed<3>() program.cc:20",
        "> app::Tracker<std::string>::insert(std::string const&, std::string const&) program.cc:17",
        "app::Tracker<std::string>::record(std::string const&, std::string) program.cc:12",
    ],
]

let swiftProgram = """
    @_silgen_name("place") func place()
    @inline(never) func use(_ value: Int) { print("", terminator: value > 1000 ? "!" : "") }

    final class Tracker<Key: Hashable> {
        var cache: [Key: [String]] = [:]

        @inline(never)
        func record(user: Key, action: String) {
            insert(user, action)
            use(1)
        }

        @inline(__always)
        final func insert(_ user: Key, _ action: String) {
            cache[user, default: []].append(action)
            place()
            use(cache.count)
        }
    }

    enum Service {
        @inline(never)
        static func run(_ body: () -> Void) {
            body()
            use(2)
        }
    }

    let tracker = Tracker<Int>()
    tracker.record(user: 1, action: "login")
    Service.run {
        place()
        use(3)
    }
    """

let rustProgram = """
    extern "C" { fn place(); }
    mod app {
        pub struct Tracker<T> { pub events: Vec<T> }
        pub trait Recorder { fn record(&mut self, count: u32); }
        impl<T: Clone + Default> Recorder for Tracker<T> {
            #[inline(never)]
            fn record(&mut self, count: u32) {
                self.insert(count);
                std::hint::black_box(&self.events);
            }
        }
        impl<T: Clone + Default> Tracker<T> {
            #[inline(always)]
            fn insert(&mut self, count: u32) {
                for _ in 0..count { self.events.push(T::default()); }
                unsafe { super::place(); }
                std::hint::black_box(&self.events);
            }
        }
    }
    fn main() {
        use app::Recorder;
        app::Tracker::<String> { events: Vec::new() }.record(1);
    }
    """
