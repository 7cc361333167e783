import Hummingbird

/// Answers for what users did.
struct ActivityHandler: Sendable {
    let store: ActivityStore

    func addRoutes(to group: RouterGroup<BasicRequestContext>) {
        group.post(use: record)
        group.get(use: recent)
    }

    @Sendable
    func record(_ request: Request, _ context: BasicRequestContext) async throws -> HTTPResponse.Status {
        let user = try context.parameters.require("user")
        let activity = try await request.decode(as: Activity.self, context: context)
        await store.append(activity, of: user)
        return .created
    }

    @Sendable
    func recent(_ request: Request, _ context: BasicRequestContext) async throws -> [Event] {
        await store.newest(10, of: try context.parameters.require("user"))
    }
}

/// What a client says that its user does.
struct Activity: Decodable, Sendable {
    let action: String
    let page: String
}

extension Event: ResponseEncodable {}
