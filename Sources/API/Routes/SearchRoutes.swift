internal import Catalog
internal import HTTPServer
internal import Primitives
internal import SQLite
internal import Search

/// Search and what a frontend needs around it.
struct SearchRoutes: Sendable {
  let services: Services

  func search(_ context: Context) async throws -> Response {
    let body = try context.json()
    try context.known(body, SearchShapes.fields)
    return try await answer(body, context)
  }

  /// The same with query parameters: lists are separated by commas, numbers and flags are read from their text.
  func searchByQuery(_ context: Context) async throws -> Response {
    var body = JSONObject()
    let unknown = context.request.query.map(\.name).filter { !SearchShapes.fields.contains($0) }
    guard unknown.isEmpty else {
      throw Refusal(
        .validationFailed, "The query has parameters that are not known.",
        fields: unknown.prefix(20).map { .init("/" + $0.prefix(64), "is not known") })
    }
    let names = context.request.query.map(\.name)
    guard Set(names).count == names.count else {
      throw Refusal(.validationFailed, "A query parameter may stand once.")
    }
    for (name, value) in context.request.query {
      switch name {
      case "facets", "sort":
        body[name] = .strings(value.split(separator: ",").map(String.init))
      case "ignored":
        // Conditions have commas of their own: a list in JSON, or one text.
        body[name] = (try? JSON.parse(value)) ?? .strings([value])
      case "limit", "offset", "facetLimit", "minRevision", "semantic", "highlight", "explain",
        "prefix", "usage":
        // A null would be no value at all, which nobody means who sends the name.
        let parsed = (try? JSON.parse(value)) ?? .null
        body[name] = parsed == .null ? .string(value) : parsed
      default: body[name] = .string(value)
      }
    }
    return try await answer(.object(body), context)
  }

  private func answer(_ body: JSON, _ context: Context) async throws -> Response {
    var incoming = try SearchShapes.read(body)
    var snapshot = try await current(revision: incoming.minRevision)
    var edition = try await services.placements.edition(
      at: services.clock.now, from: services.record)
    if let text = incoming.cursor {
      let cursor = try SearchShapes.readCursor(text, fingerprint: incoming.fingerprint)
      guard
        let pinned = services.indexer.index.snapshot(
          revision: cursor.revision, generation: cursor.generation),
        let placed = services.placements.edition(version: cursor.placements)
      else { throw Refusal(.cursorInvalid, "The cursor has expired; search again.") }
      snapshot = pinned
      edition = placed
      incoming.request.offset = cursor.offset
    }
    return .json(try run(incoming, on: snapshot, edition, context))
  }

  /// One search on a snapshot, with the cursor of its next page.
  func run(
    _ incoming: SearchShapes.Incoming, on snapshot: Snapshot, _ edition: PlacementBook.Edition,
    _ context: Context
  ) throws -> JSON {
    var request = incoming.request
    request.placements = edition.placements
    try context.narrow(&request)
    let answer = try services.engine.search(request, on: snapshot)
    var next: String?
    if let offset = answer.nextOffset, offset <= SearchRequest.offsetMax {
      services.indexer.index.pin(snapshot)
      next = SearchShapes.cursor(
        answer, offset: offset, fingerprint: incoming.fingerprint, placements: edition.version)
    }
    let searchID = services.searchID(of: answer, to: incoming.request, in: context)
    return context.narrowed(SearchShapes.json(answer, cursor: next, searchID: searchID))
  }

  /// The newest snapshot, once it has a revision.
  /// - Throws: `Refusal` `not_searchable_yet` after two seconds.
  func current(revision: Int64) async throws -> Snapshot {
    let index = services.indexer.index
    for _ in 0..<200 where index.snapshot.revision < revision {
      try await Task.sleep(for: .milliseconds(10))
    }
    let snapshot = index.snapshot
    guard snapshot.revision >= revision else {
      throw Refusal(
        .notSearchableYet, "Revision \(revision) is not searchable yet.",
        facts: ["asOf": .int(snapshot.revision)],
        retryAfterSeconds: 1)
    }
    return snapshot
  }

  func service(_ context: Context) async throws -> Response {
    let id = context.parameter("id")
    let stored = try await services.record.read { try CatalogStore.service(id: id, on: $0) }
    guard let stored, stored.service.isPublic else {
      throw Refusal(.notFound, "There is no such service.")
    }
    return .json(["service": HitDocument.json(of: stored), "asOf": .int(stored.revision)])
  }

  func schema(_ context: Context) async throws -> Response { .json(SearchShapes.schema()) }
}
