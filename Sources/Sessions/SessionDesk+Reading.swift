public import Primitives
internal import SQLite

/// What people, providers and admins see of sessions. Every deadline that has passed is part of it.
extension SessionDesk {
  /// One session as its user, its provider or an admin sees it.
  /// - Throws: `Refusal` `not_found` for whom it does not concern.
  public func session(_ id: ID<SessionKind>, for actor: SessionActor) async throws -> JSONObject {
    let found = try await views(for: actor) { connection in
      guard let record = try SessionStore.read(id, on: connection), concerns(record, actor) else {
        throw Refusal(.notFound, "There is no such session.")
      }
      return [record]
    }
    return found.first ?? [:]
  }

  /// The sessions of a user, or those that a provider runs, newest first, after one of them where it is given.
  /// For other actors there are none.
  public func sessions(
    of actor: SessionActor, before last: ID<SessionKind>?, limit: Int
  ) async throws -> [JSONObject] {
    let owner: SessionStore.Owner
    switch actor {
    case .user(let id): owner = .user(id)
    case .provider(let id): owner = .provider(id)
    default: return []
    }
    return try await views(for: actor) { connection in
      try SessionStore.list(of: owner, before: last, limit: limit, on: connection)
    }
  }

  /// The views of what was found. A deadline that has passed is carried out first; while nothing can be written,
  /// reads go on (D6), and what is due is only shown.
  private func views(
    for actor: SessionActor,
    _ find: @escaping @Sendable (Connection) throws -> [SessionRecord]
  ) async throws -> [JSONObject] {
    let now = clock.now
    let settled = try await database.read { connection -> [JSONObject]? in
      let found = try find(connection)
      if found.contains(where: { $0.isDue(at: now) }) { return nil }
      return found.map { view($0, for: actor, at: now) }
    }
    if let settled { return settled }
    do {
      return try await database.write { connection in
        try sweep(at: now, on: connection)
        return try find(connection).map { found in
          var record = found
          if !record.isSetAside { try advance(&record, to: now, on: connection) }
          return view(record, for: actor, at: now)
        }
      }
    } catch let refusal as Refusal
      where refusal.code == .storageUnavailable || refusal.code == .shuttingDown
    {
      return try await database.read { connection in
        try find(connection).map {
          view($0.foreseen(at: now), for: actor, at: now)
        }
      }
    }
  }

  /// To its provider also with the user's name there, which is no other's.
  private func view(
    _ record: SessionRecord, for actor: SessionActor, at now: Timestamp
  ) -> JSONObject {
    var view = record.json(at: now)
    switch actor {
    case .provider, .bearer: view["userId"] = .string(tokens.subject(of: record))
    default: break
    }
    return view
  }
}

extension SessionRecord {
  fileprivate func isDue(at now: Timestamp) -> Bool {
    !isSetAside && state.deadline.map { $0 <= now.milliseconds } ?? false
  }

  /// The session as the next settlement will leave it.
  fileprivate func foreseen(at now: Timestamp) -> SessionRecord {
    var record = self
    if isSetAside { return record }
    while let effects = record.state.step(to: now.milliseconds) {
      for case .settle in effects {
        let rest = record.used - record.charged
        record.charged += rest
        record.fee += Metering.share(of: rest, basisPoints: feeBasisPoints)
      }
    }
    return record
  }
}
