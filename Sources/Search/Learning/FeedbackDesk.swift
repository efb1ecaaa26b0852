internal import Catalog
package import Primitives
package import SQLite

/// Gives search answers their `searchId` and takes events back.
package struct FeedbackDesk: Sendable {
  /// What the operator says.
  package struct Settings: Sendable {
    /// Whether anything is stored at all.
    package var isOn = true
    /// Days that events are kept.
    package var retentionDays = 180
    /// Events of one user in 24 hours.
    package var userDailyMax = 2_000
    /// Events of one visitor in 24 hours.
    package var visitorDailyMax = 200

    package init() {}
  }

  /// Events of one batch.
  package static let batchMax = 100
  /// Searches that one write deletes: the writing lane serves everybody.
  static let pruneCount = 500
  /// Events that are read for one training.
  package static let recordCountMax = 1_000_000
  private static let day: Int64 = 86_400_000
  private static let pageCount = 2_000

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let tokens: SearchTokens
  package let settings: Settings

  /// - Parameter key: 32 bytes of the server for this purpose alone.
  package init(
    database: Database, clock: Clock, random: RandomSource, key: [UInt8],
    settings: Settings = Settings()
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    tokens = SearchTokens(key: key)
    self.settings = settings
  }

  /// The `searchId` of an answer, or nil where nothing may or can be learnt from it.
  ///
  /// - Parameters:
  ///   - services: Ids of the page's hits, in order.
  ///   - offset: Hits before the page.
  package func searchID(
    need: String, services: [String], offset: Int, for caller: FeedbackCaller
  ) -> String? {
    guard settings.isOn else { return nil }
    return tokens.issue(
      need: need, services: services, offset: offset, to: caller, at: clock.now, random: random)
  }

  /// Takes a batch in one transaction; each item has an outcome of its own, in order.
  ///
  /// - Parameter items: At most 100; items that could not be read stand as their refusal.
  package func record(
    _ items: [Result<FeedbackItem, Refusal>], from caller: FeedbackCaller
  ) async throws -> [FeedbackOutcome] {
    precondition(items.count <= FeedbackDesk.batchMax, "\(items.count) events in a batch")
    guard settings.isOn else { return items.map { _ in .dropped(.learningOff) } }
    let now = clock.now
    let actor = actor(caller, at: now)
    return try await database.write { connection in
      let since = now + -FeedbackDesk.day
      let used = try FeedbackStore.count(of: actor, since: since, on: connection)
      var left = (actor.isUser ? settings.userDailyMax : settings.visitorDailyMax) - used
      return try items.map { item in
        let outcome: FeedbackOutcome
        do {
          outcome = try take(
            try item.get(), from: caller, actor, at: now, hasRoom: left > 0, on: connection)
        } catch let refusal as Refusal {
          outcome = .refused(refusal)
        }
        if outcome == .recorded { left -= 1 }
        return outcome
      }
    }
  }

  /// Notes that a session was started from a search. Repeating it changes nothing.
  ///
  /// - Parameters:
  ///   - searchID: What the client sent with its proposal or confirmation.
  ///   - sessionID: 16 bytes; `sessionCompleted` finds the search by it.
  package func sessionStarted(
    _ sessionID: [UInt8], serviceID: String, searchID: String, by caller: FeedbackCaller
  ) async throws -> FeedbackOutcome {
    guard settings.isOn else { return .dropped(.learningOff) }
    let now = clock.now
    let actor = actor(caller, at: now)
    let item = FeedbackItem(searchID: searchID, kind: .tried, serviceID: serviceID)
    return try await database.write { connection in
      do {
        // A session is bounded by its own limits, and never crowded out by opened cards.
        return try take(
          item, from: caller, actor, at: now, hasRoom: true, sessionID: sessionID, on: connection)
      } catch let refusal as Refusal where refusal.code != .internal {
        return .refused(refusal)
      }
    }
  }

  /// Notes that a session was completed, where its start was noted.
  ///
  /// - Returns: Whether anything was written.
  @discardableResult
  package func sessionCompleted(_ sessionID: [UInt8]) async throws -> Bool {
    guard settings.isOn else { return false }
    let now = clock.now
    return try await database.write { connection in
      guard let start = try FeedbackStore.start(ofSession: sessionID, on: connection) else {
        return false
      }
      let old = start.record
      let record = FeedbackRecord(
        searchID: old.searchID, need: old.need, serviceID: old.serviceID,
        providerID: old.providerID, kind: .kept, isSeenByServer: true, position: old.position,
        actor: old.actor, at: now)
      let isNew = try FeedbackStore.insert(
        record, searchedAt: start.searchedAt, sessionID: sessionID, on: connection)
      if !isNew { try FeedbackStore.confirm(record, sessionID: sessionID, on: connection) }
      return isNew
    }
  }

  /// Deletes what is older than the retention, in small writes; called now and then.
  ///
  /// - Returns: How many searches are gone.
  package func prune() async throws -> Int {
    let moment = clock.now + -Int64(settings.retentionDays) * FeedbackDesk.day
    var total = 0
    while true {
      let count = try await database.write {
        try FeedbackStore.prune(before: moment, limit: FeedbackDesk.pruneCount, on: $0)
      }
      total += count
      if count < FeedbackDesk.pruneCount { return total }
    }
  }

  /// The events of a record that say more than shown, newest first; at most a million.
  package static func records(of database: Database) async throws -> [FeedbackRecord] {
    var records: [FeedbackRecord] = []
    var below: Int64? = Int64.max
    while let start = below, records.count < recordCountMax {
      let page = try await database.read {
        try FeedbackStore.page(below: start, limit: pageCount, on: $0)
      }
      records += page.records
      below = page.next
    }
    return records
  }

  private func actor(_ caller: FeedbackCaller, at now: Timestamp) -> FeedbackRecord.Actor {
    switch caller.kind {
    case .user(let id): .user(id)
    case .visitor(let text): .visitor(tokens.visitor(text, at: now))
    }
  }

  private func take(
    _ item: FeedbackItem, from caller: FeedbackCaller, _ actor: FeedbackRecord.Actor,
    at now: Timestamp, hasRoom: Bool, sessionID: [UInt8]? = nil, on connection: Connection
  ) throws -> FeedbackOutcome {
    let token = try tokens.read(item.searchID, from: caller, at: now)
    let position = try tokens.position(of: item.serviceID, in: token)
    guard item.position.map({ $0 == position }) ?? true else {
      throw Refusal(.serviceNotShown, "The service stood at position \(position).")
    }
    guard let stored = try CatalogStore.service(id: item.serviceID, on: connection),
      stored.service.isPublic
    else { throw Refusal(.notFound, "There is no such service any more.") }
    let providerID = stored.service.providerID
    if caller.providerID == providerID { return .dropped(.ownService) }
    let record = FeedbackRecord(
      searchID: token.id, need: token.need, serviceID: item.serviceID, providerID: providerID,
      kind: item.kind, isSeenByServer: sessionID != nil, position: position, actor: actor, at: now)
    guard hasRoom else {
      throw Refusal(.rateLimited, "The events of this caller for a day are used up.")
    }
    let isNew = try FeedbackStore.insert(
      record, searchedAt: token.at, sessionID: sessionID, on: connection)
    if !isNew, let sessionID {
      try FeedbackStore.confirm(record, sessionID: sessionID, on: connection)
    }
    return isNew ? .recorded : .repeated
  }
}
