import Hummingbird

// Healthy memory of the kinds that a leak hides behind.

struct ProductHandler: Sendable {
    let catalogue: ProductCatalogue

    func addRoutes(to group: RouterGroup<BasicRequestContext>) { group.get(use: show) }

    @Sendable
    func show(_ request: Request, _ context: BasicRequestContext) async throws -> String {
        await catalogue.page(of: try context.parameters.require("id", as: Int.self))
    }
}

/// Loaded at the start and kept for ever, 20,000 products of 480 bytes; and the 2,000 pages shown last, which are full
/// soon and always changing.
actor ProductCatalogue {
    private static let pagesKept = 2_000

    private let products = (0..<20_000).map { [UInt8](repeating: UInt8(ascii: "a") + UInt8($0 % 26), count: 448) }
    private var pages: [Int: String] = [:]
    private var oldestFirst: [Int] = []
    private var oldest = 0

    func page(of id: Int) -> String {
        if let page = pages[id] { return page }
        let page = String(decoding: products[Int(id.magnitude % UInt(products.count))], as: UTF8.self) + "\n"
        makeRoom(for: id)
        pages[id] = page
        return page
    }

    private func makeRoom(for id: Int) {
        guard oldestFirst.count == Self.pagesKept else { return oldestFirst.append(id) }
        pages[oldestFirst[oldest]] = nil
        oldestFirst[oldest] = id
        oldest = (oldest + 1) % Self.pagesKept
    }
}
