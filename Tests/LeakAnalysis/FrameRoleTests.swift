import HeapProfile
import Testing

@testable import LeakAnalysis

@Suite struct FrameRoleTests {
    static let functions: [(String, FrameRole)] = [
        ("malloc", .allocator), ("operator new(unsigned long)", .allocator),
        ("operator new[](unsigned long)", .allocator),
        ("zmalloc", .allocator), ("ztrycalloc_usable_internal", .allocator), ("xrealloc", .allocator),
        ("ngx_palloc", .allocator), ("je_malloc", .allocator), ("g_malloc0", .allocator),
        ("PyMem_RawMalloc", .allocator),
        ("swift_allocObject", .allocator), ("swift_slowAlloc", .allocator), ("__rust_alloc", .allocator),
        ("alloc::alloc::exchange_malloc", .allocator), ("Pool::alloc(unsigned long)", .allocator),
        ("std::__new_allocator<Event>::allocate(unsigned long, void const*)", .allocator),
        ("dealloc_all(int)", .application), ("App.Allocation.record() -> ()", .application),
        ("void std::vector<Event, std::allocator<Event> >::_M_realloc_insert<Event const&>(Event const&)", .container),
        ("std::pair<std::__detail::_Node_iterator<int>, bool> std::_Hashtable<int>::_M_emplace(int&&)", .container),
        ("Swift.Array.append(__owned A) -> ()", .container),
        ("static Swift.String.+ infix(Swift.String, Swift.String) -> Swift.String", .container),
        ("static App.Matrix.< infix(App.Matrix, App.Matrix) -> Swift.Bool", .application),
        ("static Swift.Array.+= infix<A where A1: Swift.Sequence>(inout [A], A1) -> ()", .container),
        (
            "generic specialization <App.Event> of Swift._ArrayBuffer._consumeAndCreateNew() -> Swift._ArrayBuffer<A>",
            .container
        ),
        ("alloc::raw_vec::RawVec<T,A>::grow_one", .container),
        ("hashbrown::raw::RawTable<T,A>::reserve_rehash", .container),
        ("<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend", .container),
        ("<alloc::raw_vec::RawVecInner>::finish_grow", .container),
        ("<alloc::alloc::Global as core::alloc::Allocator>::allocate", .allocator),
        ("<app::Events as core::iter::Iterator>::next", .application),
        ("Foundation.Data.append(Foundation.Data) -> ()", .runtime), ("swift_job_run", .runtime),
        ("__libc_start_main", .runtime), ("std::rt::lang_start_internal", .runtime),
        ("_dispatch_worker_thread", .runtime),
        ("App.Event.__allocating_init(id: Swift.Int) -> App.Event", .constructor),
        ("App.Event.init(id: Swift.Int) -> App.Event", .constructor), ("Event::Event(Event const&)", .constructor),
        ("ns::Box<int>::Box(int)", .constructor), ("app::event::Event::new", .constructor),
        ("app::event::Event::new::h0123456789abcdef", .constructor),
        ("main", .application), ("UserActivityTracker::record(std::string const&)", .application),
        ("static App.Tracker.record(user: Swift.String) -> ()", .application),
        ("closure #1 (inout [Swift.String : [App.Event]]) -> () in static App.Tracker.record() -> ()", .application),
        ("std::vector<int>& Cache::get<std::string>(std::string const&)", .application),
        ("(anonymous namespace)::remember(int)", .application), ("Matrix::operator()(int, int)", .application),
        ("(extension in App):Swift.Array.remember() -> ()", .application),
        ("protocol witness for Swift.Sequence.makeIterator() in conformance App.Ring", .container),
        ("(2) await resume partial function for App.Server.handle() async -> ()", .application),
        ("App.initialize() -> ()", .application), ("", .application), ("(((", .application), (">>>::", .application),
    ]

    @Test(arguments: functions) func roleOf(_ function: String, _ role: FrameRole) {
        #expect(FrameRole(of: Frame(function: function, module: "service")) == role)
    }

    @Test func modulesTellWhereNamesAreMissing() {
        let roles = ["libc.so.6", "libstdc++.so.6", "libswiftCore.so", "libjemalloc.so.2", "redis-server"].map {
            FrameRole(of: Frame(function: nil, module: $0))
        }
        #expect(roles == [.runtime, .container, .runtime, .allocator, .application])
    }

    @Test(arguments: [
        (
            "closure #1 (inout [Swift.String : [App.Event]]) -> () in static App.Tracker.record() -> ()",
            "App.Tracker.record"
        ),
        ("generic specialization <Swift.Int> of closure #2 () -> A in App.run<A>(A) -> ()", "App.run<A>"),
        ("void std::vector<Event>::push_back(Event const&)", "std::vector<Event>::push_back"),
        ("Matrix::operator()(int, int)", "Matrix::operator()(int, int)"),
        ("App.Store.items.getter : [Swift.Int]", "App.Store.items.getter"),
        ("plain_c_name", "plain_c_name"),
    ])
    func qualifiedName(_ demangled: String, _ qualified: String) {
        #expect(FunctionName(demangled).qualified == qualified)
    }

    /// Whatever a symbol table holds.
    @Test func anyNameIsSurvived() {
        let long = String(repeating: "A<", count: 100_000)
        for name in [
            long, "\u{0}\u{1B}[2J", "closure #1 in ", " in  of  for ", "operator", "generic specialization <", ">)",
        ] {
            _ = FrameRole(of: Frame(function: name, module: name))
        }
    }
}
