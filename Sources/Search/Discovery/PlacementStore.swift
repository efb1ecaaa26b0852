package import Primitives
package import SQLite
internal import Catalog

/// A placement as the record keeps it.
package struct StoredPlacement: Sendable, Equatable {
  package let id: String
  /// `pin` or `sponsored`.
  package let kind: String
  package let serviceID: String
  /// Words that the query must hold, or nil.
  package let terms: [String]?
  /// A canonical filter that the search must ask for, or nil.
  package let filter: String?
  /// From 1 to `Placement.positionMax`.
  package let position: Int
  package let startsAt: Timestamp
  /// The first moment at which it no longer holds, or nil.
  package let endsAt: Timestamp?
  /// Whether the provider pays for it.
  package let isPaid: Bool

  package init(
    id: String, kind: String, serviceID: String, terms: [String]?, filter: String?, position: Int,
    startsAt: Timestamp, endsAt: Timestamp?, isPaid: Bool
  ) {
    self.id = id
    self.kind = kind
    self.serviceID = serviceID
    self.terms = terms
    self.filter = filter
    self.position = position
    self.startsAt = startsAt
    self.endsAt = endsAt
    self.isPaid = isPaid
  }

  /// Whether it holds at a moment.
  package func isActive(at now: Timestamp) -> Bool {
    startsAt <= now && (endsAt.map { now < $0 } ?? true)
  }

  /// What searches apply; nil where its filter no longer reads, as after a field went away.
  package var placement: Placement? {
    var target = Placement.Target.everything
    if let terms {
      let words = terms.flatMap { PrefixTable.fold($0).split(separator: 0x20) }
      target = .terms(words.map { String(decoding: $0, as: UTF8.self) })
    } else if let filter {
      guard let expression = try? FilterParser.parse(filter) else { return nil }
      target = .filter(expression.conjuncts.map(\.canonical))
    }
    return Placement(
      id: id, label: kind == "pin" ? .pinned : .sponsored, serviceID: serviceID, target: target,
      position: position)
  }

  /// The public view of the admin API.
  package var json: JSON {
    [
      "id": .string(id), "kind": .string(kind), "serviceId": .string(serviceID),
      "terms": terms.map(JSON.strings) ?? .null, "filter": .optional(filter),
      "position": .number(position), "startsAt": .string(startsAt.rfc3339),
      "endsAt": .optional(endsAt?.rfc3339), "paid": .bool(isPaid),
    ]
  }
}

/// Reads and writes of the placements' table.
package enum PlacementStore {
  private static let columns =
    "id, kind, service_id, terms, filter, position, starts_ms, ends_ms, paid"

  /// Writes a placement whole. Call it inside a write transaction.
  ///
  /// - Returns: Whether it is a new one.
  /// - Throws: `Refusal` `validation_failed` where there is no such public service, or no more fit.
  package static func put(
    _ placement: StoredPlacement, at now: Timestamp, on connection: Connection
  ) throws -> Bool {
    let service = try CatalogStore.service(id: placement.serviceID, on: connection)
    guard service?.service.isPublic == true else {
      throw Refusal(
        .validationFailed, "The placement is not valid.",
        fields: [.init("/serviceId", "must be a public service")])
    }
    let isNew = try self.placement(id: placement.id, on: connection) == nil
    let count = try connection.first("SELECT count(*) FROM placement") { Int($0.int(0)) } ?? 0
    guard !isNew || count < Placement.countMax else {
      throw Refusal(
        .validationFailed, "At most \(Placement.countMax) placements are kept; remove one first.")
    }
    try connection.run(
      """
      INSERT INTO placement(\(columns), created_ms, updated_ms)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) ON CONFLICT(id) DO UPDATE SET
      kind = ?2, service_id = ?3, terms = ?4, filter = ?5, position = ?6, starts_ms = ?7,
      ends_ms = ?8, paid = ?9, updated_ms = ?10
      """,
      [
        .text(placement.id), .text(placement.kind), .text(placement.serviceID),
        .optional(placement.terms.map { JSON.strings($0).text }), .optional(placement.filter),
        .int(Int64(placement.position)), .int(placement.startsAt.milliseconds),
        .optional(placement.endsAt?.milliseconds), .int(placement.isPaid ? 1 : 0),
        .int(now.milliseconds),
      ])
    return isNew
  }

  /// One placement, or nil.
  package static func placement(
    id: String, on connection: Connection
  ) throws -> StoredPlacement? {
    try connection.first("SELECT \(columns) FROM placement WHERE id = ?", [.text(id)], read)
  }

  /// Every placement, by id.
  package static func all(_ connection: Connection) throws -> [StoredPlacement] {
    try connection.rows("SELECT \(columns) FROM placement ORDER BY id", [], read)
  }

  /// Removes one; false where there is none.
  package static func remove(id: String, on connection: Connection) throws -> Bool {
    try connection.run("DELETE FROM placement WHERE id = ?", [.text(id)]) > 0
  }

  private static func read(_ row: borrowing Row) throws -> StoredPlacement {
    let terms = try row.optionalText(3).map { text in
      try JSON.parse(text).array?.compactMap(\.string) ?? []
    }
    return StoredPlacement(
      id: row.text(0), kind: row.text(1), serviceID: row.text(2), terms: terms,
      filter: row.optionalText(4), position: Int(row.int(5)),
      startsAt: Timestamp(milliseconds: row.int(6)),
      endsAt: row.optionalInt(7).map { Timestamp(milliseconds: $0) }, isPaid: row.int(8) == 1)
  }
}
