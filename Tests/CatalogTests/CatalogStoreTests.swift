import Catalog
import Primitives
import SQLite
import Testing

@Suite("Writes of the catalog")
struct CatalogStoreTests {
  @Test("a write is created, then the same, then changed, and only a change takes a revision")
  func outcomes() async throws {
    let record = try Record()
    let first = try await record.put(try listing())
    #expect(first == CatalogStore.Outcome.created(revision: 1))
    let again = try await record.put(try listing())
    #expect(again == CatalogStore.Outcome.same(revision: 1))
    let other = try await record.put(try listing(["tagline": "Another"]))
    #expect(other == CatalogStore.Outcome.changed(revision: 2))
    let last = try await record.revision()
    #expect(last == 2)
  }

  @Test("revisions count the whole catalog, one for each change")
  func revisions() async throws {
    let record = try Record()
    let start = try await record.revision()
    #expect(start == 0)
    for number in 1...5 {
      let outcome = try await record.put(try listing(["id": .string("service-\(number)")]))
      #expect(outcome.revision == Int64(number))
    }
    let stored = try #require(try await record.stored("service-3"))
    #expect(stored.revision == 3)
  }

  @Test("what is read is what was written")
  func roundTrip() async throws {
    let record = try Record()
    let service = try listing([
      "tags": ["a", "b"], "rating": 4.5, "features": ["vision": true], "note": "kept",
      "offers": [
        [
          "id": "usage", "region": "eu",
          "prices": [
            ["meter": "call", "per": 1, "amountNano": 20_000_000, "currency": "EUR"]
          ],
        ]
      ],
    ])
    _ = try await record.put(service)
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.service.document == service.document)
    #expect(stored.service.offers.first?.terms == service.offers.first?.terms)
    #expect(!stored.isProviderVerified)
  }

  @Test("a writer that saw another revision is refused, and nothing changes")
  func mismatch() async throws {
    let record = try Record()
    _ = try await record.put(try listing(), expected: 0)
    let changed = try listing(["tagline": "Changed"])
    for expected in [0, 2, -1] as [Int64] {
      let found = try await refusal { _ = try await record.put(changed, expected: expected) }
      #expect(found?.code == ProblemCode.revisionMismatch)
      #expect(found?.facts["revision"]?.int == Int64(1))
    }
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.service.text("tagline") == nil)
    let outcome = try await record.put(changed, expected: 1)
    #expect(outcome == CatalogStore.Outcome.changed(revision: 2))
  }

  @Test("a revision of a listing that is not there is refused")
  func expectedOfNothing() async throws {
    let record = try Record()
    let service = try listing()
    let found = try await refusal { _ = try await record.put(service, expected: 3) }
    #expect(found?.code == ProblemCode.revisionMismatch)
    let isAbsent = try await record.stored("alpha") == nil
    #expect(isAbsent)
  }

  @Test("a listing of another provider cannot be written")
  func anothers() async throws {
    let record = try Record()
    _ = try await record.put(try listing())
    let stolen = try listing(["providerId": "globex", "name": "Stolen"])
    let found = try await refusal { _ = try await record.put(stolen) }
    #expect(found?.code == ProblemCode.forbidden)
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.service.name == "Alpha")
    let isAbsent = try await record.database.read { connection throws in
      try CatalogStore.provider(id: "globex", on: connection) == nil
    }
    #expect(isAbsent)
  }

  @Test("a removed listing is hidden and kept, and can be written again")
  func removal() async throws {
    let record = try Record()
    _ = try await record.put(try listing(["tagline": "Kept"]))
    _ = try await record.put(try listing(["id": "beta"]))
    let revision = try await record.remove("alpha")
    #expect(revision == Int64(3))
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.service.status == "removed")
    #expect(!stored.service.isPublic)
    #expect(stored.service.text("tagline") == "Kept")
    #expect(stored.revision == 3)
    let count = try await record.database.read { try CatalogStore.publicCount($0) }
    #expect(count == 1)
    let outcome = try await record.put(try listing(["tagline": "Kept"]))
    #expect(outcome == CatalogStore.Outcome.changed(revision: 4))
    let back = try #require(try await record.stored("alpha"))
    #expect(back.service.isPublic)
  }

  @Test("only the provider's own listing is removed, and only once")
  func removalRefused() async throws {
    let record = try Record()
    _ = try await record.put(try listing())
    let missing = try await record.remove("nothing")
    #expect(missing == nil)
    let foreign = try await record.remove("alpha", providerID: "globex")
    #expect(foreign == nil)
    let own = try await record.remove("alpha", providerID: "acme")
    #expect(own == Int64(2))
    let twice = try await record.remove("alpha", providerID: "acme")
    #expect(twice == nil)
    let last = try await record.revision()
    #expect(last == 2)
  }

  @Test("the change log has every change in order, and can be read from any revision")
  func changes() async throws {
    let record = try Record()
    _ = try await record.put(try listing())
    _ = try await record.put(try listing(["id": "beta"]))
    _ = try await record.put(try listing())
    _ = try await record.put(try listing(["tagline": "Changed"]))
    _ = try await record.remove("beta")
    let all = try await record.database.read {
      try CatalogStore.changes(after: 0, limit: 100, on: $0)
    }
    let revisions = all.map { Int($0.revision) }
    #expect(revisions == [1, 2, 3, 4])
    #expect(all.map(\.serviceID) == ["alpha", "beta", "alpha", "beta"])
    let later = try await record.database.read {
      try CatalogStore.changes(after: 2, limit: 1, on: $0)
    }
    #expect(later.count == 1)
    #expect(later.first?.revision == Int64(3))
    let none = try await record.database.read {
      try CatalogStore.changes(after: 4, limit: 100, on: $0)
    }
    #expect(none.isEmpty)
  }

  @Test("a write that fails leaves neither listing, provider nor change")
  func failedWrite() async throws {
    struct Stop: Error {}
    let record = try Record()
    let service = try listing()
    await #expect(throws: Stop.self) {
      try await record.database.write { connection -> Void in
        _ = try CatalogStore.put(service, at: Moment.first, on: connection)
        throw Stop()
      }
    }
    let revision = try await record.revision()
    #expect(revision == 0)
    let providers = try await record.database.read {
      try CatalogStore.providers(after: "", limit: 10, on: $0)
    }
    #expect(providers.isEmpty)
  }

  @Test("the first write's moment stays, the last change's moves")
  func moments() async throws {
    let record = try Record()
    _ = try await record.put(try listing(), at: Moment.first)
    _ = try await record.put(try listing(["tagline": "New"]), at: Moment.second)
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.createdAt == Moment.first)
    #expect(stored.updatedAt == Moment.second)
  }

  @Test("listings come page by page in order of id, of one provider where asked")
  func pages() async throws {
    let record = try Record()
    for id in ["d", "b", "a", "c"] { _ = try await record.put(try listing(["id": .string(id)])) }
    _ = try await record.put(try listing(["id": "e", "providerId": "globex"]))
    let page = try await record.database.read {
      try CatalogStore.services(after: "a", limit: 2, on: $0)
    }
    #expect(page.map(\.service.id) == ["b", "c"])
    let own = try await record.database.read {
      try CatalogStore.services(after: "", limit: 10, providerID: "globex", on: $0)
    }
    #expect(own.map(\.service.id) == ["e"])
  }
}

@Suite("Providers of the catalog")
struct CatalogProviderTests {
  private func provider(_ id: String, in record: Record) async throws -> Provider? {
    try await record.database.read { try CatalogStore.provider(id: id, on: $0) }
  }

  @Test("a listing without a provider makes one placeholder a source")
  func placeholder() async throws {
    let record = try Record()
    for id in ["a", "b"] {
      let row: JSONObject = ["id": .string(id), "name": "A", "source": "github:acme/list:f@1"]
      _ = try await record.put(try Service.read(row))
    }
    let found = try #require(try await provider("unclaimed-acme-list", in: record))
    #expect(found.isUnclaimed)
    #expect(!found.isVerified)
    #expect(found.name == "Unclaimed (acme/list)")
    #expect(found.serviceCount == 2)
  }

  @Test("a real provider claims a placeholder")
  func claim() async throws {
    let record = try Record()
    let row: JSONObject = ["id": "a", "name": "A", "source": "github:acme/list:f@1"]
    _ = try await record.put(try Service.read(row))
    try await record.database.write {
      try CatalogStore.putProvider(
        id: "unclaimed-acme-list", name: "Acme", verified: false, at: Moment.second, on: $0)
    }
    let found = try #require(try await provider("unclaimed-acme-list", in: record))
    #expect(!found.isUnclaimed)
    #expect(found.name == "Acme")
  }

  @Test("a listing names its provider once and never renames one that exists")
  func names() async throws {
    let record = try Record()
    _ = try await record.put(try listing(["providerName": "Acme Corp"]))
    _ = try await record.put(try listing(["id": "beta", "providerName": "Other"]))
    let found = try #require(try await provider("acme", in: record))
    #expect(found.name == "Acme Corp")
    #expect(!found.isUnclaimed)
  }

  @Test("a verified provider stays verified, and its listings say so")
  func verified() async throws {
    let record = try Record()
    _ = try await record.put(try listing())
    for verified in [true, false] {
      try await record.database.write {
        try CatalogStore.putProvider(
          id: "acme", name: "Acme", verified: verified, at: Moment.second, on: $0)
      }
    }
    let found = try #require(try await provider("acme", in: record))
    #expect(found.isVerified)
    let stored = try #require(try await record.stored("alpha"))
    #expect(stored.isProviderVerified)
  }

  @Test("a provider counts its public listings only")
  func counts() async throws {
    let record = try Record()
    let statuses = ["draft", "active", "maintenance", "deprecated", "active"]
    for (number, status) in statuses.enumerated() {
      _ = try await record.put(
        try listing(["id": .string("s\(number)"), "status": .string(status)]))
    }
    _ = try await record.remove("s1")
    let found = try #require(try await provider("acme", in: record))
    #expect(found.serviceCount == 3)
    #expect(found.json["serviceCount"]?.int == Int64(3))
  }

  @Test("providers come page by page in order of id")
  func pages() async throws {
    let record = try Record()
    for id in ["c", "a", "b"] {
      _ = try await record.put(
        try listing(["id": .string("of-" + id), "providerId": .string(id)]))
    }
    let page = try await record.database.read {
      try CatalogStore.providers(after: "a", limit: 1, on: $0)
    }
    #expect(page.map(\.id) == ["b"])
    let isAbsent = try await provider("nobody", in: record) == nil
    #expect(isAbsent)
  }

  @Test("a provider's page skips what nobody may see, not what comes after it")
  func publicPage() async throws {
    let record = try Record()
    for (id, status) in [("a", "draft"), ("b", "removed"), ("c", "active"), ("d", "deprecated")] {
      _ = try await record.put(listing(["id": .string(id), "status": .string(status)]))
    }
    let page = try await record.database.read { connection in
      try CatalogStore.services(
        after: "", limit: 2, providerID: "acme", isPublicOnly: true, on: connection)
    }
    #expect(page.map(\.service.id) == ["c", "d"])
  }
}
