internal import Catalog
internal import HTTPServer
internal import Identity
internal import Primitives
internal import SQLite
internal import Search

/// The operator's placements: written whole, listed, removed.
struct PlacementRoutes: Sendable {
  let services: Services

  var routes: [Route] {
    [
      Route("GET", "/v1/admin/placements", "every placement", handler: list),
      Route("GET", "/v1/admin/placements/{id}", "one placement", handler: read),
      Route("PUT", "/v1/admin/placements/{id}", "write a placement", handler: put),
      Route("DELETE", "/v1/admin/placements/{id}", "remove a placement", handler: remove),
    ]
  }

  func list(_ context: Context) async throws -> Response {
    try context.admin()
    let now = services.clock.now
    let all = try await services.record.read { try PlacementStore.all($0) }
    return .json(["placements": .array(all.map { json($0, at: now) })])
  }

  func read(_ context: Context) async throws -> Response {
    try context.admin()
    let id = context.parameter("id")
    let found = try await services.record.read { try PlacementStore.placement(id: id, on: $0) }
    guard let found else { throw Refusal(.notFound, "There is no such placement.") }
    return .json(json(found, at: services.clock.now))
  }

  func put(_ context: Context) async throws -> Response {
    try context.admin()
    let body = try context.json()
    try context.known(
      body,
      ["kind", "serviceId", "terms", "filter", "position", "startsAt", "endsAt", "paid"])
    let now = services.clock.now
    let placement = try placement(context.parameter("id"), body, now)
    let isNew = try await services.record.write { connection in
      try AuditLog.record(
        "placement.written", on: "placement:" + placement.id, detail: placement.kind,
        by: context.author, at: now, on: connection)
      return try PlacementStore.put(placement, at: now, on: connection)
    }
    services.placements.reload()
    return .json(json(placement, at: now), status: isNew ? 201 : 200)
  }

  func remove(_ context: Context) async throws -> Response {
    try context.admin()
    let id = context.parameter("id")
    let now = services.clock.now
    let isRemoved = try await services.record.write { connection in
      let isRemoved = try PlacementStore.remove(id: id, on: connection)
      if isRemoved {
        try AuditLog.record(
          "placement.removed", on: "placement:" + id, by: context.author, at: now, on: connection)
      }
      return isRemoved
    }
    services.placements.reload()
    guard isRemoved else { throw Refusal(.notFound, "There is no such placement.") }
    return .noContent
  }

  private func json(_ placement: StoredPlacement, at now: Timestamp) -> JSON {
    guard case .object(var object) = placement.json else { return placement.json }
    object["active"] = .bool(placement.isActive(at: now))
    return .object(object)
  }

  private func placement(
    _ id: String, _ body: JSON, _ now: Timestamp
  ) throws -> StoredPlacement {
    var reader = DiscoveryShapes.Reader(body: body)
    if !Slug.isValid(id) { reader.fail("/id", "must match [a-z0-9][a-z0-9._-]{0,127}") }
    let isPaid = body["paid"]?.bool ?? false
    if let paid = body["paid"], paid != .null, paid.bool == nil {
      reader.fail("/paid", "must be true or false")
    }
    let kind = reader.text("kind", characterMax: 20) ?? ""
    if !["pin", "sponsored"].contains(kind) {
      reader.fail("/kind", "must be pin or sponsored")
    } else if isPaid, kind == "pin" {
      reader.fail("/kind", "must be sponsored where the provider pays")
    }
    let serviceID = reader.text("serviceId", characterMax: 128) ?? ""
    if serviceID.isEmpty { reader.fail("/serviceId", "is missing") }
    let terms = terms(&reader)
    let filter = reader.text("filter", characterMax: FilterText.characterMax)
    if terms != nil, filter != nil { reader.fail("/filter", "does not go with terms") }
    let position = reader.integer("position", 1...Int64(Placement.positionMax), 1)
    let starts = moment("startsAt", &reader) ?? now
    let ends = moment("endsAt", &reader)
    if let ends, ends <= starts { reader.fail("/endsAt", "must be after startsAt") }
    try reader.finish("placement")
    return StoredPlacement(
      id: id, kind: kind, serviceID: serviceID, terms: terms,
      filter: try filter.flatMap { try FilterParser.parse($0)?.canonical }, position: Int(position),
      startsAt: starts, endsAt: ends, isPaid: isPaid)
  }

  /// One to ten words that a query must hold.
  private func terms(_ reader: inout DiscoveryShapes.Reader) -> [String]? {
    guard let value = reader.body["terms"], value != .null else { return nil }
    let words = value.array?.compactMap(\.string) ?? []
    let isValid = words.allSatisfy { word in
      word.unicodeScalars.count <= 80 && word.contains { $0.isLetter || $0.isNumber }
    }
    guard words.count == value.array?.count, (1...10).contains(words.count), isValid else {
      reader.fail("/terms", "must be a list of 1 to 10 words of at most 80 characters")
      return nil
    }
    return words
  }

  /// `YYYY-MM-DD`, or `YYYY-MM-DDThh:mm:ssZ`.
  private func moment(_ name: String, _ reader: inout DiscoveryShapes.Reader) -> Timestamp? {
    guard let text = reader.text(name, characterMax: 40) else { return nil }
    if let day = Timestamp.parse(date: text) { return day }
    let halves = text.split(separator: "T", omittingEmptySubsequences: false)
    if halves.count == 2, let day = Timestamp.parse(date: String(halves[0])),
      halves[1].utf8.count == 9, halves[1].hasSuffix("Z")
    {
      let parts = halves[1].dropLast().split(separator: ":").map(String.init)
      let numbers = parts.compactMap { part in
        part.utf8.count == 2 && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
          ? Int64(part) : nil
      }
      if numbers.count == 3, parts.count == 3, numbers[0] < 24, numbers[1] < 60, numbers[2] < 60 {
        return day + (numbers[0] * 3_600 + numbers[1] * 60 + numbers[2]) * 1_000
      }
    }
    reader.fail("/" + name, "must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")
    return nil
  }
}

/// The limit of a filter's text, as the parser has it.
private enum FilterText { static let characterMax = 4_000 }
