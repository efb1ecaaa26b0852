package import Identity
package import Primitives
package import SQLite
package import Search
package import Sessions
internal import Synchronization

/// Conversations: takes turns, runs the guide or the agent, keeps every event, lets anybody follow again.
package final class ChatDesk: Sendable {
  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let index: SearchIndex
  private let guide: Guide
  private let agent: Agent?
  private let sessions: SessionDesk
  private let log: @Sendable (String) -> Void
  let running = Mutex<[ID<ConversationKind>: LiveTurn]>([:])

  /// - Parameters:
  ///   - agent: The model's side, or nil where none is configured.
  ///   - log: Gets failures that no client can be told of, in words.
  package init(
    database: Database, clock: Clock, random: RandomSource, index: SearchIndex, guide: Guide,
    agent: Agent?, sessions: SessionDesk, log: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.index = index
    self.guide = guide
    self.agent = agent
    self.sessions = sessions
    self.log = log
  }

  /// Whether a model is configured.
  package var hasModel: Bool { agent != nil }

  /// Ends turns that a stop cut off. Call it once, at start.
  ///
  /// - Parameter record: Another handle of the desk's database, where its own is refused writes; nil for its own.
  package func recover(through record: Database? = nil) async throws {
    try await (record ?? database).write { try ConversationStore.abortRunning(on: $0) }
  }

  /// Ends every running turn as aborted and waits until each is kept. Call it at the end, when no new turn
  /// can come.
  package func drain() async {
    let live = running.withLock { Array($0.values) }
    for turn in live { turn.cancel(.shutdown) }
    for turn in live { await turn.ended() }
  }

  /// Deletes conversations past their retention.
  package func prune() async throws {
    let now = clock.now
    while true {
      // Found by a reader: the writing lane is everybody's.
      let due = try await database.read {
        try ConversationStore.due(at: now, limit: 256, on: $0)
      }
      for start in stride(from: 0, to: due.count, by: 16) {
        try await database.write {
          try ConversationStore.delete(due[start..<min(start + 16, due.count)], on: $0)
        }
        try Task.checkCancellation()
      }
      if due.count < 256 { return }
    }
  }

  /// Starts a turn, or finds the one that the same message started before.
  ///
  /// - Parameters:
  ///   - model: What the model may still say to this caller; the guide answers where that is nothing.
  ///   - stored: Gets the bytes of events that the turn leaves in the record.
  /// - Throws: `Refusal` `not_found`, `turn_running`, `parent_stale`, `conversation_full`.
  package func start(
    _ request: TurnRequest, user: ID<UserKind>?, secret: String?,
    model: ModelAllowance = .unlimited, stored: @escaping @Sendable (Int) -> Void = { _ in }
  ) async throws -> LiveTurn {
    let opened = try await open(request, user: user, secret: secret, model)
    if let replay = opened.replay { return try await self.replay(replay, in: opened.row) }
    let live = opened.live
    // Owned by the live turn, which `running` keeps until the turn has ended.
    let task = Task {
      await self.run(
        request, opened.row, live, user: user, model: opened.isAgent ? model : nil)
      stored(live.events.reduce(0) { $0 + $1.data.count })
    }
    live.own(task)
    return live
  }

  private struct Opened: Sendable {
    let row: ConversationRow
    let live: LiveTurn
    let isAgent: Bool
    /// The turn that the same message started before.
    let replay: ID<TurnKind>?
  }

  /// Writes the new turn's row, and registers the turn in the same step: the lane lets no repeat of the
  /// message see one without the other.
  private func open(
    _ request: TurnRequest, user: ID<UserKind>?, secret: String?, _ model: ModelAllowance
  ) async throws -> Opened {
    let now = clock.now
    let isAgent =
      request.mode != "guide" && model.isOpen && agent?.isOpen(at: now) == true
    let freshID = request.conversationID ?? ID<ConversationKind>(at: now, random: random)
    let freshSecret =
      user == nil && request.conversationID == nil ? BytesText.base64url(random.bytes(16)) : nil
    let live = LiveTurn(
      conversationID: freshID, turnID: ID(at: now, random: random), secret: freshSecret)
    do {
      return try await database.write { connection in
        if let (row, turn) = try self.known(request, user, secret, at: now, on: connection) {
          return Opened(row: row, live: live, isAgent: isAgent, replay: turn)
        }
        let row = try self.conversation(
          freshID, for: request, as: live, user, secret, at: now, on: connection)
        if request.conversationID == nil {
          try ConversationStore.insert(row, secret: freshSecret, on: connection)
        }
        try ConversationStore.insertTurn(
          live.turnID, request, in: row.id, mode: isAgent ? "agent" : "guide", at: now,
          on: connection)
        self.running.withLock { $0[row.id] = live }
        return Opened(row: row, live: live, isAgent: isAgent, replay: nil)
      }
    } catch {
      // The row may have been refused at COMMIT, after the turn was registered.
      running.withLock { if $0[freshID] === live { $0[freshID] = nil } }
      live.finish()
      throw error
    }
  }

  /// The conversation and turn that this very message started before, or nil.
  private func known(
    _ request: TurnRequest, _ user: ID<UserKind>?, _ secret: String?, at now: Timestamp,
    on connection: Connection
  ) throws -> (ConversationRow, ID<TurnKind>)? {
    var id = request.conversationID
    if id == nil, let user {
      id = try ConversationStore.started(by: request, of: user, at: now, on: connection)
    }
    guard let id else { return nil }
    let row = try ConversationStore.read(id, user: user, secret: secret, on: connection)
    return try ConversationStore.turn(of: request.clientMessageID, in: id, on: connection)
      .map { (row, $0.id) }
  }

  /// The conversation that a new turn goes into.
  /// - Parameter live: The turn itself: where the write runs twice it is registered already.
  /// - Throws: `Refusal` `not_found`, `turn_running`, `parent_stale`, `conversation_full`.
  private func conversation(
    _ id: ID<ConversationKind>, for request: TurnRequest, as live: LiveTurn, _ user: ID<UserKind>?,
    _ secret: String?, at now: Timestamp, on connection: Connection
  ) throws -> ConversationRow {
    guard request.conversationID != nil else {
      return ConversationRow(
        id: id, userID: user, title: request.title, seq: 0, seed: request.seed ?? 0,
        state: ConversationState(), createdAt: now, updatedAt: now)
    }
    let row = try ConversationStore.read(id, user: user, secret: secret, on: connection)
    // Memory knows what runs: a row that could not be ended must not lock its conversation.
    if let other = running.withLock({ $0[id] }), other !== live {
      throw Refusal(.turnRunning, "A turn of this conversation is running.", retryAfterSeconds: 1)
    }
    let last = try ConversationStore.lastMessage(in: id, on: connection)
    if let parent = request.parentMessageID, parent != last {
      throw Refusal(.parentStale, "The conversation has moved on; read it again.")
    }
    if row.state.isFull {
      throw Refusal(.conversationFull, "This conversation is full; start a new one.")
    }
    return row
  }

  /// The turn as it was, or as it is still running.
  private func replay(_ turn: ID<TurnKind>, in row: ConversationRow) async throws -> LiveTurn {
    let id = row.id
    if let live = running.withLock({ $0[id] }), live.turnID == turn { return live }
    let events = try await database.read {
      try ConversationStore.events(in: id, turn: turn, after: 0, on: $0)
    }
    let live = LiveTurn(conversationID: id, turnID: turn, secret: nil)
    for event in events { live.append(event) }
    if events.last?.isTerminal != true {
      // Nothing of it could be kept. Its number is the last given one, so that resuming after it misses nothing.
      let ending: JSON = ["reason": .string(LiveTurn.Cancelled.shutdown.rawValue)]
      live.append(
        TurnEvent(seq: events.last?.seq ?? row.seq, type: "aborted", data: ending.bytes))
    }
    live.finish()
    return live
  }

  private func run(
    _ request: TurnRequest, _ row: ConversationRow, _ live: LiveTurn, user: ID<UserKind>?,
    model: ModelAllowance?
  ) async {
    let writer = TurnWriter(live: live, seq: row.seq)
    var state = row.state
    let snapshot = index.snapshot
    var start: JSONObject = [
      "turnId": .string(live.turnID.text), "conversationId": .string(row.id.text),
      "mode": .string(model == nil ? "guide" : "agent"),
      "indexVersion": .string("\(snapshot.generation)@\(snapshot.revision)"),
      "seed": .int(row.seed),
    ]
    if let secret = live.secret { start["conversationSecret"] = .string(secret) }
    writer.emit("turn.start", .object(start))
    var ending: (type: String, data: JSON)
    do {
      let output = try guide.turn(request.input, &state, on: snapshot)
      let said = await say(output, request, state, snapshot, writer, user: user, model: model)
      if let service = output.trialOf { await propose(service, to: user, snapshot, writer) }
      if let reason = live.cancelled {
        ending = ("aborted", ["reason": .string(reason.rawValue)])
      } else if let failure = said {
        ending = ("error", failure)
      } else {
        ending = (
          "done",
          [
            "turnId": .string(live.turnID.text), "finish": .string(output.finish),
            "services": .strings(output.top),
          ]
        )
      }
    } catch {
      ending = ("error", ChatDesk.problem(error))
    }
    let last = await keep(live, state, writer.number(ending.type, ending.data), in: row)
    _ = running.withLock { $0.removeValue(forKey: row.id) }
    live.append(last)
    live.finish()
  }

  /// Sends what the guide found; with a model its words stand in place of the guide's.
  ///
  /// - Returns: The data of an `error` event where the model failed after its words had begun.
  private func say(
    _ output: TurnOutput, _ request: TurnRequest, _ state: ConversationState,
    _ snapshot: Snapshot, _ writer: TurnWriter, user: ID<UserKind>?, model: ModelAllowance?
  ) async -> JSON? {
    guard let model, let agent, case .text(let text) = request.input, output.trialOf == nil else {
      for event in output.events { writer.emit(event.type, event.data) }
      return nil
    }
    // Cards come before any word of a model about them (chat.md, 4.1).
    let late: Set<String> = ["text.delta", "question", "suggestions", "relaxation"]
    for event in output.events where !late.contains(event.type) {
      writer.emit(event.type, event.data)
    }
    let ending = await agent.speak(
      text, about: state, on: snapshot, guide: guide, writer: writer, at: clock.now,
      used: model.used)
    switch ending {
    case .spoken(let wanted):
      for event in output.events where ["question", "suggestions"].contains(event.type) {
        writer.emit(event.type, event.data)
      }
      if let wanted { await propose(wanted, to: user, snapshot, writer) }
      return nil
    case .failed(let code, hasSpoken: true):
      return [
        "code": .string(code), "title": "The model broke off.", "retryable": true,
        "fallback": "guide",
      ]
    case .failed(let code, hasSpoken: false):
      writer.emit("tool.end", ["tool": "model", "outcome": .string(code), "fallback": "guide"])
      for event in output.events where late.contains(event.type) {
        writer.emit(event.type, event.data)
      }
      return nil
    }
  }

  /// Makes a proposal and shows it; nothing starts before the user confirms.
  private func propose(
    _ service: String, to user: ID<UserKind>?, _ snapshot: Snapshot, _ writer: TurnWriter
  ) async {
    let wording = Wording.shipped
    let name = (try? guide.candidates(ids: [service], snapshot).first?.name) ?? service
    guard let user else {
      return writer.say(wording("proposalSignIn", ["name": name]))
    }
    do {
      let proposal = try await sessions.propose(serviceID: service, to: user)
      writer.say(wording("proposal", ["text": proposal.terms.consent]))
      if let asked = proposal.consent.text { writer.say(asked) }
      writer.emit("proposal", .object(proposal.json))
    } catch let refusal as Refusal {
      if refusal.code == .trialAlreadyOpen {
        writer.say(wording("trialOpen", ["name": name]))
        writer.emit("trial.open", .object(refusal.facts))
      } else {
        writer.say(wording("refused", ["name": name, "reason": refusal.detail]))
      }
    } catch {
      writer.say(wording("refused", ["name": name, "reason": "the storage does not answer."]))
    }
  }

  /// Keeps the turn and gives its last event, which clients see only then: what they saw as ended is in
  /// the record.
  private func keep(
    _ live: LiveTurn, _ state: ConversationState, _ last: TurnEvent, in row: ConversationRow
  ) async -> TurnEvent {
    let now = clock.now
    let events = live.events.map(\.withoutSecret) + [last]
    var state = state
    state.count(events)
    let kept = state
    for pause in [200, 1_000, 0] {
      do {
        try await database.write { connection in
          try ConversationStore.finish(
            live.turnID, events, kept, in: row.id, at: now, on: connection)
        }
        return last
      } catch {
        log("a turn could not be kept: \(error)")
      }
      // A task of its own, because a cancelled turn must wait all the same.
      await Task { try? await Task.sleep(for: .milliseconds(pause)) }.value
    }
    // Its words are lost to the record; the turn still ends there, if that much can be written.
    let refusal = Refusal(.storageUnavailable, "The turn could not be stored; send it again.")
    let lost = TurnEvent(seq: last.seq, type: "error", data: ChatDesk.problem(refusal).bytes)
    do {
      try await database.write { connection in
        try ConversationStore.finish(
          live.turnID, [lost], row.state, in: row.id, at: now, on: connection)
      }
    } catch {
      log("a turn could not be ended: \(error)")
    }
    return lost
  }

  private static func problem(_ error: any Error) -> JSON {
    guard let refusal = error as? Refusal else {
      return ["code": "internal", "title": "Something went wrong here.", "retryable": true]
    }
    return [
      "code": .string(refusal.code.rawValue), "title": .string(refusal.detail),
      "retryable": .bool(refusal.code.status >= 500),
    ]
  }
}

extension ChatDesk {
  /// Follows a conversation's newest turn after an event, or nil where nothing runs and nothing is new.
  ///
  /// - Throws: `Refusal` `not_found`, or `stream_expired` for a number that was never given out.
  package func follow(
    _ id: ID<ConversationKind>, after seq: Int64, user: ID<UserKind>?, secret: String?
  ) async throws -> (kept: [TurnEvent], live: LiveTurn?)? {
    let live = running.withLock { $0[id] }
    let (row, events) = try await database.read { connection in
      let row = try ConversationStore.read(id, user: user, secret: secret, on: connection)
      return (row, try ConversationStore.events(in: id, turn: nil, after: seq, on: connection))
    }
    let last = max(row.seq, live?.events.last?.seq ?? 0)
    guard seq >= 0, seq <= last else {
      throw Refusal(.streamExpired, "This event is not known.")
    }
    if events.isEmpty, live == nil { return nil }
    return (events, live)
  }

  /// Stops a running turn; what it produced is kept. Repeating it changes nothing.
  package func cancel(
    _ id: ID<ConversationKind>, user: ID<UserKind>?, secret: String?
  ) async throws {
    _ = try await database.read {
      try ConversationStore.read(id, user: user, secret: secret, on: $0).seq
    }
    running.withLock { $0[id] }?.cancel(.user)
  }

  /// A conversation with its turns and, for an export, every event.
  package func conversation(
    _ id: ID<ConversationKind>, user: ID<UserKind>?, secret: String?
  ) async throws -> JSON {
    try await database.read { connection in
      let row = try ConversationStore.read(id, user: user, secret: secret, on: connection)
      let events = try ConversationStore.events(in: id, turn: nil, after: 0, on: connection)
      return [
        "id": .string(id.text), "title": .string(row.title), "seed": .int(row.seed),
        "createdAt": .string(row.createdAt.rfc3339), "updatedAt": .string(row.updatedAt.rfc3339),
        "constraints": .array(row.state.constraints.map(\.json)),
        "turns": .array(try ConversationStore.turns(in: id, limit: 500, on: connection)),
        "events": .array(
          events.map { ["seq": .int($0.seq), "type": .string($0.type), "data": .raw($0.data)] }),
      ]
    }
  }

  /// A user's conversations, newest first, after one of them where it is given.
  package func conversations(
    of user: ID<UserKind>, before last: ID<ConversationKind>?, limit: Int
  ) async throws -> [JSON] {
    try await database.read {
      try ConversationStore.list(user: user, before: last, limit: limit, on: $0)
    }
  }

  /// Deletes a conversation with everything in it.
  package func delete(
    _ id: ID<ConversationKind>, user: ID<UserKind>?, secret: String?
  ) async throws {
    try await database.write { connection in
      _ = try ConversationStore.read(id, user: user, secret: secret, on: connection)
      try ConversationStore.delete(id, on: connection)
    }
    // Only now: whose it is was asked in the transaction.
    running.withLock { $0[id] }?.cancel(.user)
  }
}

extension TurnRequest {
  /// A conversation's title: the first words that were said, at most 60 characters.
  var title: String {
    guard case .text(let text) = input else { return "Conversation" }
    let clean = PlainText.clean(text).replacing("\n", with: " ").trimmed
    return clean.isEmpty ? "Conversation" : String(clean.prefix(60))
  }
}
