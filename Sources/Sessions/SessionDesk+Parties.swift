public import Identity
public import Primitives
internal import SQLite

/// Between whom a session is, for those who speak of the person rather than of the session.
public struct SessionParties: Sendable {
  /// The person.
  public let userID: ID<UserKind>
  /// The provider.
  public let providerID: String
  /// Whether it has not ended.
  public let isOpen: Bool
  /// The session as its provider sees it.
  public let view: JSONObject
}

extension SessionDesk {
  /// Between whom a session is, as of now.
  /// - Throws: `Refusal` `not_found`.
  public func parties(of id: ID<SessionKind>) async throws -> SessionParties {
    let view = try await session(id, for: .admin)
    let found = try await database.read { connection in
      try connection.first(
        "SELECT user_id, provider_id FROM session WHERE id = ?", [.blob(id.bytes)]
      ) { (user: ID<UserKind>(bytes: $0.blob(0)), provider: $0.text(1)) }
    }
    guard let found, let user = found.user,
      let phase = view["state"]?.string.flatMap(SessionState.Phase.init(rawValue:))
    else { throw Refusal(.notFound, "There is no such session.") }
    return SessionParties(
      userID: user, providerID: found.provider, isOpen: !phase.isTerminal, view: view)
  }

  /// The ids of a person's open sessions with a provider, oldest first, at most 100.
  public func openSessions(
    of user: ID<UserKind>, at provider: String
  ) async throws -> [String] {
    try await database.read { connection in
      try connection.rows(
        """
        SELECT id FROM session WHERE user_id = ? AND provider_id = ?
        AND state IN ('pending','active','paused') ORDER BY created_ms, id LIMIT 100
        """, [.blob(user.bytes), .text(provider)]
      ) { ID<SessionKind>(bytes: $0.blob(0))?.text }.compactMap { $0 }
    }
  }
}
