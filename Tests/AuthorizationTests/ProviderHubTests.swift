import Authorization
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

@Suite("One identity at every provider")
struct ProviderHubTests {
  private func give(
    _ scopes: Set<ProviderScope>, _ world: World, to provider: String = "alpha"
  ) async throws {
    let now = world.time.now
    _ = try await world.database.write { connection in
      try ProviderConsentStore.give(
        scopes, to: provider, of: world.user, by: .system, at: now, on: connection)
    }
  }

  private func code(of work: () async throws -> some Any) async -> ProblemCode? {
    do {
      _ = try await work()
      return nil
    } catch {
      return (error as? Refusal)?.code
    }
  }

  @Test("ids differ from provider to provider and stay")
  func ids() async throws {
    let world = try await World()
    let first = try await world.hub.provision(world.user, at: "alpha")
    let other = try await world.hub.provision(world.user, at: "beta")
    #expect(first.providerUserID != other.providerUserID)
    #expect(first.providerUserID == world.hub.pairwiseID(of: world.user, at: "alpha"))
    world.time.move(seconds: 5)
    let again = try await world.hub.provision(world.user, at: "alpha")
    #expect(again.providerUserID == first.providerUserID)
    #expect(again.firstSeenAt == first.firstSeenAt)
    #expect(again.lastSeenAt == world.time.now)
  }

  @Test("however many ask at once, one mapping is made")
  func concurrency() async throws {
    let world = try await World()
    let ids = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<50 {
        group.addTask { try await world.hub.provision(world.user, at: "alpha").providerUserID }
      }
      var ids: Set<String> = []
      for try await id in group { ids.insert(id) }
      return ids
    }
    #expect(ids.count == 1)
    let rows = try await world.database.read { connection in
      try connection.first("SELECT count(*) FROM provider_identity") { $0.int(0) }
    }
    #expect(rows == 1)
  }

  @Test("a provider knows what the person said, and no more")
  func scopes() async throws {
    let world = try await World()
    let bare = try await world.hub.provision(world.user, at: "alpha")
    #expect(bare.name == nil)
    #expect(bare.email == nil)
    #expect(bare.isVerified == nil)
    try await give([.profile], world)
    let named = try await world.hub.provision(world.user, at: "alpha")
    #expect(named.name == "Ann")
    #expect(named.email == nil)
    try await give([.email], world)
    let mailed = try await world.hub.provision(world.user, at: "alpha")
    #expect(mailed.name == nil)
    #expect(mailed.email == "ann@example.org")
    #expect(mailed.isVerified == true)
    #expect(try await world.hub.provision(world.user, at: "beta").email == nil)
  }

  @Test("a profile is found by the provider's own id only")
  func profile() async throws {
    let world = try await World()
    let id = try await world.hub.provision(world.user, at: "alpha").providerUserID
    #expect(try await world.hub.profile(id, at: "alpha").user == world.user)
    #expect(await code { try await world.hub.profile(id, at: "beta") } == .notFound)
    let unseen = world.hub.pairwiseID(of: world.user, at: "beta")
    #expect(await code { try await world.hub.profile(unseen, at: "beta") } == .notFound)
  }

  @Test("what was withdrawn is closed at once, and told once, by the provider's own id")
  func withdrawal() async throws {
    let world = try await World()
    try await give([.profile, .email], world)
    let id = try await world.hub.provision(world.user, at: "alpha").providerUserID
    for _ in 0..<3 {
      try await world.hub.withdraw(from: "alpha", of: world.user, by: .system)
    }
    #expect(await code { try await world.hub.provision(world.user, at: "alpha") } == .forbidden)
    #expect(await code { try await world.hub.verified(world.user, at: "alpha") } == .forbidden)
    #expect(await code { try await world.hub.profile(id, at: "alpha") } == .forbidden)
    let events = try await world.events("user.deprovisioned")
    #expect(events.count == 1)
    #expect(events.first?["data"]?["providerUserId"] == .string(id))
    #expect(events.first?["data"]?["providerId"] == "alpha")
    #expect(events.first.map { !$0.text.contains(world.user.text) } == true)
    try await give([.profile], world)
    #expect(try await world.hub.provision(world.user, at: "alpha").providerUserID == id)
  }

  @Test("there is nothing to withdraw from a provider that knows nothing")
  func nothing() async throws {
    let world = try await World()
    #expect(
      await code { try await world.hub.withdraw(from: "alpha", of: world.user, by: .system) }
        == .notFound)
    #expect(await code { try await give([.profile], world, to: "nobody") } == .notFound)
    _ = try await world.hub.provision(world.user, at: "alpha")
    try await world.hub.withdraw(from: "alpha", of: world.user, by: .system)
    #expect(await code { try await world.hub.provision(world.user, at: "alpha") } == .forbidden)
  }

  @Test("an erased person is told of to every provider that knew it")
  func erasure() async throws {
    let world = try await World()
    _ = try await world.hub.provision(world.user, at: "alpha")
    try await give([.email], world, to: "beta")
    let now = world.time.now
    try await world.database.write { connection in
      try world.hub.erase(world.user, at: now, on: connection)
    }
    let events = try await world.events("user.deprovisioned")
    #expect(events.compactMap { $0["data"]?["providerId"]?.string }.sorted() == ["alpha", "beta"])
    let rows = try await world.database.read { connection in
      try connection.first(
        "SELECT (SELECT count(*) FROM provider_identity) + (SELECT count(*) FROM provider_consent)"
      ) { $0.int(0) }
    }
    #expect(rows == 0)
  }

  @Test("an identity elsewhere is linked once, with whoever came first")
  func links() async throws {
    let world = try await World()
    let identity = ExternalIdentity(tenant: "acme", source: "scim", externalID: "42")
    let now = world.time.now
    let user = world.user
    let linked = try await world.database.write { connection -> [ID<UserKind>] in
      let first = try ExternalIdentityStore.link(
        identity, to: user, by: .system, at: now, on: connection)
      let second = try ExternalIdentityStore.link(
        identity, to: ID(at: now, random: world.random), by: .system, at: now,
        on: connection)
      return [first, second]
    }
    #expect(linked == [user, user])
    let other = ExternalIdentity(tenant: "other", source: "scim", externalID: "42")
    let found = try await world.database.read {
      try ExternalIdentityStore.user(of: other, on: $0)
    }
    #expect(found == nil)
  }
}
