public import HeapProfile

/// What one can ask who holds the heap.
public enum HeapQuestion: Sendable, Equatable {
    /// A variable, by its name or a part of it.
    case root(String)
    /// A type, by its name or a part of it.
    case type(String)
    /// A block, by an address in it.
    case object(UInt64)
}

/// All that a survey knows of one root, type or object; largest first.
public struct HeapAnswer: Sendable {
    public struct Path: Sendable {
        /// Who holds it alone, from the outside: a root, then objects, itself last. Without a root several do.
        public var root: HeapSurvey.Root?
        public var objects: [HeapSurvey.Object]
    }

    public var heap: HeapSurvey
    public var roots: [HeapSurvey.Root] = []
    public var types: [HeapSurvey.TypeCount] = []
    public var leaks: [HeapSurvey.Leak] = []
    public var collections: [HeapSurvey.Collection] = []
    public var objects: [Path] = []

    public var isEmpty: Bool {
        roots.isEmpty && types.isEmpty && leaks.isEmpty && collections.isEmpty && objects.isEmpty
    }

    public init(_ question: HeapQuestion, in heap: HeapSurvey) {
        self.heap = heap
        switch question {
        case .root(let name): answer(root: name)
        case .type(let name): answer(type: name)
        case .object(let address): answer(object: address)
        }
    }

    /// With what it holds at once.
    private mutating func answer(root name: String) {
        let matching = Set(Self.matching(heap.roots, name, \.name))
        roots = heap.roots.indices.filter(matching.contains).map { heap.roots[$0] }
        collections = heap.collections.filter { $0.root.map(matching.contains) ?? false }
        objects = heap.objects.indices
            .filter { heap.objects[$0].holder.root.map(matching.contains) ?? false }.map(path)
    }

    private mutating func answer(type name: String) {
        types = Self.matching(heap.types, name, \.name).map { heap.types[$0] }
        leaks = Self.matching(heap.leaks, name, \.type).map { heap.leaks[$0] }
        collections = heap.collections.filter { [$0.type, $0.owner].compactMap(\.self).contains { $0.contains(name) } }
        objects = Self.matching(heap.objects, name, \.type).map(path)
    }

    /// With what it holds at once.
    private mutating func answer(object address: UInt64) {
        guard let index = heap.objects.firstIndex(where: { $0.contains(address) }) else { return }
        collections = heap.collections.filter { $0.addresses.contains(where: heap.objects[index].contains) }
        objects = [path(index)] + heap.objects.indices.filter { heap.objects[$0].holder == .object(index) }.map(path)
    }

    private func path(_ index: Int) -> Path {
        let way = heap.way(to: index)
        return Path(root: way.root, objects: way.objects)
    }

    /// Those of exactly this name; where there are none, those with it in their name.
    private static func matching<Element>(
        _ elements: [Element], _ name: String, _ nameOf: (Element) -> String
    ) -> [Int] {
        let exact = elements.indices.filter { nameOf(elements[$0]) == name }
        return exact.isEmpty ? elements.indices.filter { nameOf(elements[$0]).contains(name) } : exact
    }
}

extension HeapSurvey.Object {
    fileprivate func contains(_ address: UInt64) -> Bool {
        address >= self.address && address - self.address < max(1, bytes)
    }
}
