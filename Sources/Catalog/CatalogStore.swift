public import Primitives
public import SQLite

/// A provider as the record keeps it.
public struct Provider: Sendable {
  /// The slug.
  public let id: String
  /// The name shown.
  public let name: String
  /// Whether an admin has verified it.
  public let isVerified: Bool
  /// Whether it is only a placeholder of an imported source.
  public let isUnclaimed: Bool
  /// Its public services.
  public let serviceCount: Int

  /// The public view.
  public var json: JSON {
    [
      "id": .string(id), "name": .string(name), "verified": .bool(isVerified),
      "unclaimed": .bool(isUnclaimed), "serviceCount": .number(serviceCount),
    ]
  }
}

/// A service with what the record knows of its storage.
public struct StoredService: Sendable {
  /// The service.
  public let service: Service
  /// The catalog revision of its last change.
  public let revision: Int64
  /// First write.
  public let createdAt: Timestamp
  /// Last change.
  public let updatedAt: Timestamp
  /// Whether an admin has verified its provider.
  public let isProviderVerified: Bool

  /// A stored service; evaluations make theirs without a record.
  package init(
    service: Service, revision: Int64, createdAt: Timestamp, updatedAt: Timestamp,
    isProviderVerified: Bool
  ) {
    self.service = service
    self.revision = revision
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.isProviderVerified = isProviderVerified
  }
}

/// One entry of the change log.
public struct Change: Sendable {
  /// The catalog revision.
  public let revision: Int64
  /// Whose.
  public let serviceID: String
}

/// Reads and writes of the catalog's tables. Every write is one change of the catalog's revision.
public enum CatalogStore {
  /// What a write did.
  public enum Outcome: Sendable, Equatable {
    /// A new service.
    case created(revision: Int64)
    /// Another content.
    case changed(revision: Int64)
    /// The same content: no new revision.
    case same(revision: Int64)

    /// The service's revision after the write.
    public var revision: Int64 {
      switch self {
      case .created(let revision), .changed(let revision), .same(let revision): revision
      }
    }
  }

  /// The newest revision of the catalog; 0 where nothing was ever written.
  public static func revision(_ connection: Connection) throws -> Int64 {
    try connection.first("SELECT coalesce(max(revision), 0) FROM change_log") { $0.int(0) } ?? 0
  }

  /// Writes a service with its provider, offers and log entry. Call it inside a write transaction.
  ///
  /// - Parameter expected: The revision that the writer saw; another one is refused.
  /// - Throws: `Refusal` `revision_mismatch`; `forbidden` where the listing belongs to another provider.
  public static func put(
    _ service: Service, at now: Timestamp, expected: Int64? = nil, on connection: Connection
  ) throws -> Outcome {
    let document = JSON.object(service.document).text
    let current = try connection.first(
      "SELECT revision, document, provider_id FROM service WHERE id = ?", [.text(service.id)]
    ) { (revision: $0.int(0), document: $0.text(1), providerID: $0.text(2)) }
    if let expected, (current?.revision ?? 0) != expected {
      throw Refusal(
        .revisionMismatch, "The listing has changed since you read it.",
        facts: ["revision": .int(current?.revision ?? 0)])
    }
    if let current, current.providerID != service.providerID {
      throw Refusal(.forbidden, "This listing belongs to another provider.")
    }
    if let current, current.document == document { return .same(revision: current.revision) }
    try putProvider(service, at: now, on: connection)
    let revision = try revision(connection) + 1
    try connection.run(
      """
      INSERT INTO service(id, provider_id, status, revision, document, created_ms, updated_ms)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT(id) DO UPDATE SET
      status = ?3, revision = ?4, document = ?5, updated_ms = ?6
      """,
      [
        .text(service.id), .text(service.providerID), .text(service.status), .int(revision),
        .text(document), .int(now.milliseconds),
      ])
    try putOffers(service, on: connection)
    try log(service.id, kind: "put", document: document, revision: revision, now, connection)
    return current == nil ? .created(revision: revision) : .changed(revision: revision)
  }

  /// Marks a service as removed: out of search at once, the record stays.
  ///
  /// - Returns: The revision, or nil where there is no such service of that provider.
  public static func remove(
    id: String, providerID: String?, at now: Timestamp, on connection: Connection
  ) throws -> Int64? {
    guard let stored = try service(id: id, on: connection), stored.service.status != "removed",
      providerID == nil || stored.service.providerID == providerID
    else { return nil }
    var document = stored.service.document
    document["status"] = "removed"
    let text = JSON.object(document).text
    let revision = try revision(connection) + 1
    try connection.run(
      "UPDATE service SET status = 'removed', revision = ?, document = ?, updated_ms = ? WHERE id = ?",
      [.int(revision), .text(text), .int(now.milliseconds), .text(id)])
    try log(id, kind: "remove", document: text, revision: revision, now, connection)
    return revision
  }

  /// One service, whatever its status, or nil.
  public static func service(id: String, on connection: Connection) throws -> StoredService? {
    try connection.first(selection + " WHERE s.id = ?", [.text(id)], read)
  }

  /// Services in order of id, after one, at most so many; of one provider where it is given, and then all or
  /// only those that everybody may see.
  public static func services(
    after id: String, limit: Int, providerID: String? = nil, isPublicOnly: Bool = false,
    on connection: Connection
  ) throws -> [StoredService] {
    if let providerID {
      let shown = isPublicOnly ? " AND s.status NOT IN ('draft', 'removed')" : ""
      return try connection.rows(
        selection + " WHERE s.provider_id = ? AND s.id > ?" + shown + " ORDER BY s.id LIMIT ?",
        [.text(providerID), .text(id), .int(Int64(limit))], read)
    }
    return try connection.rows(
      selection + " WHERE s.id > ? ORDER BY s.id LIMIT ?", [.text(id), .int(Int64(limit))], read)
  }

  /// The last change of each service that changed after a revision, oldest first, at most so many.
  public static func changes(
    after revision: Int64, limit: Int, on connection: Connection
  ) throws -> [Change] {
    try connection.rows(
      "SELECT revision, service_id FROM change_log WHERE revision > ? ORDER BY revision LIMIT ?",
      [.int(revision), .int(Int64(limit))]
    ) { Change(revision: $0.int(0), serviceID: $0.text(1)) }
  }

  /// How many services the catalog shows.
  public static func publicCount(_ connection: Connection) throws -> Int {
    let count = try connection.first(
      "SELECT count(*) FROM service WHERE status NOT IN ('draft', 'removed')"
    ) { $0.int(0) }
    return Int(count ?? 0)
  }

  /// Providers in order of id, after one, at most so many.
  public static func providers(
    after id: String, limit: Int, on connection: Connection
  ) throws -> [Provider] {
    try connection.rows(
      providerSelection + " WHERE p.id > ? ORDER BY p.id LIMIT ?", [.text(id), .int(Int64(limit))],
      readProvider)
  }

  /// One provider, or nil.
  public static func provider(id: String, on connection: Connection) throws -> Provider? {
    try connection.first(providerSelection + " WHERE p.id = ?", [.text(id)], readProvider)
  }

  /// Makes a provider or renames it, and verifies it where asked.
  public static func putProvider(
    id: String, name: String, verified: Bool, at now: Timestamp, on connection: Connection
  ) throws {
    try connection.run(
      """
      INSERT INTO provider(id, name, verified, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?4)
      ON CONFLICT(id) DO UPDATE SET name = ?2, verified = max(verified, ?3), unclaimed = 0,
      updated_ms = ?4
      """,
      [.text(id), .text(name), .int(verified ? 1 : 0), .int(now.milliseconds)])
  }

  private static let selection = """
    SELECT s.document, s.revision, s.created_ms, s.updated_ms, p.verified, p.name
    FROM service s JOIN provider p ON p.id = s.provider_id
    """

  private static let providerSelection = """
    SELECT p.id, p.name, p.verified, p.unclaimed, (SELECT count(*) FROM service s
    WHERE s.provider_id = p.id AND s.status NOT IN ('draft','removed')) FROM provider p
    """

  private static func readProvider(_ row: borrowing Row) -> Provider {
    Provider(
      id: row.text(0), name: row.text(1), isVerified: row.int(2) == 1, isUnclaimed: row.int(3) == 1,
      serviceCount: Int(row.int(4)))
  }

  private static func read(_ row: borrowing Row) throws -> StoredService {
    guard let object = try JSON.parse(row.text(0)).object else {
      throw SQLiteError(code: 11, message: "a stored service is no object")
    }
    return StoredService(
      service: try Service.read(object, isStored: true), revision: row.int(1),
      createdAt: Timestamp(milliseconds: row.int(2)),
      updatedAt: Timestamp(milliseconds: row.int(3)),
      isProviderVerified: row.int(4) == 1)
  }

  private static func putProvider(
    _ service: Service, at now: Timestamp, on connection: Connection
  ) throws {
    let isPlaceholder = service.providerID.hasPrefix("unclaimed-")
    let name = service.providerName.isEmpty ? service.providerID : service.providerName
    // An import never renames a provider that exists: its name is the provider's own.
    try connection.run(
      """
      INSERT INTO provider(id, name, unclaimed, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?4)
      ON CONFLICT(id) DO NOTHING
      """,
      [
        .text(service.providerID), .text(name), .int(isPlaceholder ? 1 : 0), .int(now.milliseconds),
      ])
  }

  private static func putOffers(_ service: Service, on connection: Connection) throws {
    try connection.run("DELETE FROM offer WHERE service_id = ?", [.text(service.id)])
    for (position, offer) in service.offers.enumerated() {
      try connection.run(
        "INSERT INTO offer(service_id, id, position, document) VALUES (?, ?, ?, ?)",
        [
          .text(service.id), .text(offer.id), .int(Int64(position)),
          .text(JSON.object(offer.document).text),
        ])
    }
  }

  private static func log(
    _ id: String, kind: String, document: String, revision: Int64, _ now: Timestamp,
    _ connection: Connection
  ) throws {
    try connection.run(
      "INSERT INTO change_log(revision, service_id, kind, document, at_ms) VALUES (?, ?, ?, ?, ?)",
      [.int(revision), .text(id), .text(kind), .text(document), .int(now.milliseconds)])
  }
}
