package import HeapProfile

extension HeapSurvey {
    /// From a root, or from an object in the same hands, to where its memory comes together: as long as one object has
    /// most of the bytes of what holds it (70%, as Eclipse MAT has it). Outermost first.
    package func way(from holder: Object.Holder, retaining bytes: UInt64) -> [Object] {
        var way: [Object] = []
        var (holder, bytes) = (holder, bytes)
        while let next = objects.firstIndex(where: { $0.holder == holder }),
            Double(objects[next].retainedBytes) >= 0.7 * Double(bytes)
        {
            way.append(objects[next])
            (holder, bytes) = (.object(next), objects[next].retainedBytes)
        }
        return way
    }

    package func way(fromRoot index: Int) -> [Object] {
        way(from: .root(index), retaining: roots[index].retainedBytes)
    }

    /// Those that hold an object, outermost first, itself last; the root where one holds it alone.
    package func way(to index: Int) -> (root: Root?, objects: [Object]) {
        var way = [objects[index]]
        var holder = objects[index].holder
        // A damaged list must not lead around in circles.
        while case .object(let above) = holder, objects.indices.contains(above), way.count < objects.count {
            way.append(objects[above])
            holder = objects[above].holder
        }
        let root = holder.root.flatMap { roots.indices.contains($0) ? roots[$0] : nil }
        return (root, way.reversed())
    }

    /// `server, shared and 3 more together`
    package func owners(of object: Object) -> String {
        let names = object.owners.prefix(3).filter(roots.indices.contains).map { roots[$0].title }
        guard !names.isEmpty else { return "several together" }
        let more = object.ownerCount - names.count
        return names.joined(separator: ", ") + (more > 0 ? " and \(more) more" : "") + " together"
    }

    package func title(of place: TypeCount.Holder.Place) -> String {
        switch place {
        case .root(let index): roots.indices.contains(index) ? roots[index].title : "a variable"
        case .objects(let type, let root): roots.indices.contains(root) ? "\(type) of \(roots[root].title)" : type
        case .others: "others, or several together"
        case .nothing: "nothing"
        }
    }

    /// `static App.Tracker.shared : App.Tracker, in App.Tracker`
    package func title(of collection: Collection) -> String {
        let root = collection.root.flatMap { roots.indices.contains($0) ? roots[$0].title : nil }
        return [root ?? (collection.owner == nil ? "a variable" : nil), collection.owner.map { "in \($0)" }]
            .compactMap(\.self).joined(separator: ", ")
    }

    /// Of the same part of objects of one type, in different hands: whose they are, where one root holds nine tenths of their
    /// bytes.
    package func holder(of hands: [Collection]) -> Int? {
        hands.first { Double($0.retainedBytes) >= hands.retainedBytes * 0.9 }?.root
    }
}

extension [HeapSurvey.Collection] {
    package var retainedBytes: Double { reduce(0) { $0 + Double($1.retainedBytes) } }
}
