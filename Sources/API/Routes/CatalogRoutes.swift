internal import Catalog
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite
internal import Search
internal import Synchronization

/// Providers, their listings, imports.
struct CatalogRoutes: Sendable {
  let services: Services

  func providers(_ context: Context) async throws -> Response {
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let after = context.request.query("after") ?? ""
    let found = try await services.record.read {
      try CatalogStore.providers(after: after, limit: limit, on: $0)
    }
    return .json([
      "providers": .array(found.map(\.json)),
      "next": .optional(found.count == limit ? found.last?.id : nil),
    ])
  }

  func provider(_ context: Context) async throws -> Response {
    let id = context.parameter("id")
    let (provider, own) = try await services.record.read { connection in
      (
        try CatalogStore.provider(id: id, on: connection),
        try CatalogStore.services(
          after: "", limit: 100, providerID: id, isPublicOnly: true, on: connection)
      )
    }
    guard let provider else { throw Refusal(.notFound, "There is no such provider.") }
    let listed = own.map { stored -> JSON in
      ["id": .string(stored.service.id), "name": .string(stored.service.name)]
    }
    return .json(["provider": provider.json, "services": .array(listed)])
  }

  func ownServices(_ context: Context) async throws -> Response {
    let providerID = try context.provider()
    let limit = try context.integer("limit", default: 50, in: 1...100)
    let after = context.request.query("after") ?? ""
    let own = try await services.record.read {
      try CatalogStore.services(after: after, limit: limit, providerID: providerID, on: $0)
    }
    return .json([
      "services": .array(own.map { HitDocument.json(of: $0) }),
      "next": .optional(own.count == limit ? own.last?.service.id : nil),
    ])
  }

  func ownService(_ context: Context) async throws -> Response {
    let providerID = try context.provider()
    let stored = try await find(context.parameter("id"), for: providerID)
    return .json(
      [
        "service": .object(stored.service.document), "revision": .int(stored.revision),
        "status": .string(stored.service.status),
      ])
  }

  /// A listing for its provider: another's public one is forbidden, another's draft is not there.
  private func find(_ id: String, for providerID: String) async throws -> StoredService {
    let stored = try await services.record.read { try CatalogStore.service(id: id, on: $0) }
    guard let stored else { throw Refusal(.notFound, "There is no such listing.") }
    if stored.service.providerID != providerID {
      guard stored.service.isPublic else { throw Refusal(.notFound, "There is no such listing.") }
      throw Refusal(.forbidden, "This listing belongs to another provider.")
    }
    return stored
  }

  func put(_ context: Context) async throws -> Response {
    let providerID = try context.provider()
    let id = context.parameter("id")
    let body = try context.json()
    let existing = try await services.record.read { try CatalogStore.service(id: id, on: $0) }
    if existing != nil { _ = try await find(id, for: providerID) }
    var document = body.object ?? [:]
    document["provider"] = nil
    document["providerName"] = nil
    document["providerId"] = .string(providerID)
    let service = try Service.read(document, id: id)
    let expected = try ifMatch(context)
    let now = services.clock.now
    let outcome = try await services.record.write { connection in
      let name = try CatalogStore.provider(id: providerID, on: connection)?.name ?? providerID
      let stored = try CatalogStore.service(id: id, on: connection)
      var named = try PlatformFields.keep(in: service.document, from: stored?.service)
      named["providerName"] = .string(name)
      let complete = try Service.read(named, id: id, isStored: true)
      return try CatalogStore.put(complete, at: now, expected: expected, on: connection)
    }
    let isSearchable = try await makeSearchable(context, outcome.revision)
    let isNew = if case .created = outcome { true } else { false }
    return .json(
      [
        "id": .string(id), "revision": .int(outcome.revision), "searchable": .bool(isSearchable),
        "changed": .bool(outcome != .same(revision: outcome.revision)),
      ], status: isNew ? 201 : 200)
  }

  func remove(_ context: Context) async throws -> Response {
    let providerID = try context.provider()
    let id = context.parameter("id")
    _ = try await find(id, for: providerID)
    let now = services.clock.now
    let revision = try await services.record.write { connection in
      try CatalogStore.remove(id: id, providerID: providerID, at: now, on: connection)
    }
    if let revision { _ = try await makeSearchable(context, revision) }
    return .noContent
  }

  private func ifMatch(_ context: Context) throws(Refusal) -> Int64? {
    guard let header = context.request.header("if-match") else { return nil }
    guard let revision = Int64(header.filter { $0 != "\"" }) else {
      throw Refusal(.revisionMismatch, "If-Match must be a revision.")
    }
    return revision
  }

  /// Wakes the indexer; with `?wait=searchable` waits up to five seconds for it.
  private func makeSearchable(_ context: Context, _ revision: Int64) async throws -> Bool {
    let indexer = services.indexer
    let hasWaited = context.request.query("wait") == "searchable"
    // Owned by itself: the indexer chains its steps, so this ends when the step does.
    let step = Task { try await indexer.catchUp() }
    guard hasWaited else { return false }
    for _ in 0..<500 {
      if indexer.index.snapshot.revision >= revision { return true }
      try await Task.sleep(for: .milliseconds(10))
    }
    _ = step
    return false
  }

  func importLines(_ context: Context) async throws -> Response {
    try context.admin()
    var options = Importer.Options()
    options.isAtomic = try context.flag("atomic")
    options.isDryRun = try context.flag("dryRun")
    let (author, clock) = (context.author, services.clock)
    options.note = { report, connection in
      try AuditLog.noteImport(report?.detail, by: author, at: clock.now, on: connection)
    }
    let refusals = RefusedLines()
    let importer = Importer(
      database: services.record, clock: services.clock, options: options,
      report: { refusals.add($0) }, progress: { _ in })
    let report: ImportReport
    do {
      report = try await importer.run(lines: context.request.body, name: "body")
    } catch {
      // The batches before it are in the record: they go into search without anybody waiting.
      let indexer = services.indexer
      Task { try await indexer.catchUp() }
      throw error
    }
    try await services.indexer.catchUp()
    var json = report.json.object ?? [:]
    json["refusedLines"] = .strings(refusals.lines)
    return .json(.object(json))
  }

  func rebuild(_ context: Context) async throws -> Response {
    try context.admin()
    let name = try await services.noted(
      .init("index.rebuild", done: "index.rebuilt", on: "index"), by: context,
      outcome: { ("index:" + $0, "") }
    ) { try await services.indexer.reindex { _ in } }
    return .json(["generation": .string(name)])
  }

  func rollBack(_ context: Context) async throws -> Response {
    try context.admin()
    let name = try await services.noted(
      .init("index.roll_back", done: "index.rolled_back", on: "index"), by: context,
      outcome: { ("index:" + $0, "") }
    ) { try await services.indexer.rollBack() }
    return .json(["generation": .string(name)])
  }
}

/// The first refused lines of an import; the count beside them is exact.
private final class RefusedLines: Sendable {
  static let countMax = 1_000
  private let state = Mutex<[String]>([])

  var lines: [String] { state.withLock { $0 } }

  func add(_ line: String) {
    state.withLock { if $0.count < RefusedLines.countMax { $0.append(line) } }
  }
}
