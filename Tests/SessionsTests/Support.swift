import Catalog
import Cryptography
import Foundation
import Identity
import Index
import Ledger
import Primitives
import SQLite
import Sessions
import Synchronization
import Testing
import TestSupport

extension ID where Kind == UserKind {
  static var anna: ID { ID(high: 1, low: 1) }
  static var bert: ID { ID(high: 2, low: 2) }
}

extension AccountName {
  static let grants = AccountName.platform(.platformGrants)
  static let acme = AccountName.provider("acme")
}

extension TrialPolicy {
  /// The defaults with the sandbox that `serve --demo` brings.
  static var sandboxed: TrialPolicy {
    var policy = TrialPolicy()
    policy.sandbox = Sandbox(publicURL: Stage.url)
    return policy
  }
}

/// A listing of the test's catalog.
struct Listing: Sendable {
  var id = "scribe"
  var provider = "acme"
  var appID: String? = "acme-app"
  var rate: Int64? = 500
  var status = "active"
  var trial: JSON? = ["offered": true]
  var redirects = ["https://acme.example/start"]
  /// Microtokens a reported unit, in place of the rate.
  var unitPrice: Int64?
  var appOrigin: String?

  /// A listing that is paid by what its provider reports.
  static func metered(_ price: Int64 = 1_000_000) -> Listing {
    var listing = Listing()
    listing.rate = nil
    listing.unitPrice = price
    return listing
  }

  /// A listing without a trial of its own.
  static var trialless: Listing {
    var listing = Listing()
    listing.trial = nil
    return listing
  }

  func service() throws -> Service {
    var offer: JSONObject = ["id": "hourly", "plan": "time"]
    if let rate { offer["tokenRatePerHour"] = .int(rate) }
    if let unitPrice { offer["unitPriceMicrotokens"] = .int(unitPrice) }
    var document: JSONObject = [
      "id": .string(id), "providerId": .string(provider), "providerName": "Acme Labs",
      "name": "Scribe", "kind": "app", "status": .string(status),
      "offers": .array([.object(offer)]), "redirectUris": .strings(redirects),
    ]
    if let trial { document["trial"] = trial }
    if let appID { document["appId"] = .string(appID) }
    if let appOrigin { document["appOrigin"] = .string(appOrigin) }
    return try Service.read(document)
  }
}

/// A session that was just confirmed.
struct Started: Sendable {
  let id: ID<SessionKind>
  let proposal: ID<ProposalKind>
  /// Its launch token.
  let token: String
  /// The answer to the confirmation.
  let view: JSONObject
}

/// A desk on a real record in a folder of its own, with a clock that the test moves.
struct Stage: Sendable {
  static let url = "https://waypost.example"
  static let dawn: Int64 = 1_800_000_000_000

  let folder: TemporaryFolder
  let clock: MovableClock
  let keys: KeyRing
  let policy: TrialPolicy
  let money: Money
  let random: RandomSource
  let database: Database
  let desk: SessionDesk

  /// What paid sessions are built with.
  struct Money: Sendable {
    var feeBasisPoints: Int64 = 2_000
    var spending: SpendingRule = { _, _, _, _ in }
  }

  init(policy: TrialPolicy = TrialPolicy(), money: Money = Money(), seed: UInt64 = 1) throws {
    let clock = MovableClock(Stage.dawn)
    let random = RandomSource.seeded(seed)
    try self.init(
      folder: TemporaryFolder(), clock: clock,
      keys: KeyRing(inMemoryAt: clock.now, random: random), policy: policy, money: money,
      random: random)
  }

  private init(
    folder: TemporaryFolder, clock: MovableClock, keys: KeyRing, policy: TrialPolicy,
    money: Money, random: RandomSource
  ) throws {
    self.money = money
    self.folder = folder
    self.clock = clock
    self.keys = keys
    self.policy = policy
    self.random = random
    database = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
    desk = SessionDesk(
      database: database, clock: clock.clock, random: random, keys: keys,
      idempotency: Idempotency(
        sealer: Sealer(key: keys.derived(for: "answers")), random: random),
      policy: policy, publicURL: Stage.url, feeBasisPoints: money.feeBasisPoints,
      spending: money.spending)
  }

  /// A stage with one listing and a trial budget of 1,000 tokens.
  static func open(
    _ listing: Listing = Listing(), policy: TrialPolicy = TrialPolicy(), budget: Int64 = 1_000,
    money: Money = Money(), seed: UInt64 = 1
  ) async throws -> Stage {
    let stage = try Stage(policy: policy, money: money, seed: seed)
    try await stage.list(listing)
    try await stage.join(.anna)
    try await stage.join(.bert)
    let now = stage.clock.now
    try await stage.database.write { connection throws in
      try CatalogStore.putProvider(
        id: Sandbox.providerID, name: "Waypost sandbox", verified: true, at: now, on: connection)
    }
    try await stage.desk.fundTrials(tokens: budget)
    return stage
  }

  /// The same record under a new process.
  func restarted() throws -> Stage {
    try Stage(
      folder: folder, clock: clock, keys: keys, policy: policy, money: money, random: random)
  }

  func list(_ listing: Listing) async throws {
    let service = try listing.service()
    let now = clock.now
    try await database.write { connection throws in
      _ = try CatalogStore.put(service, at: now, on: connection)
    }
  }

  func confirm(
    _ proposal: ID<ProposalKind>, by user: ID<UserKind> = .anna,
    consent: ConsentAnswer = ConsentAnswer(), key: String
  ) async throws -> Idempotency.Answer {
    let keyed = try Idempotency.Key(
      principal: .user(user, .user, providerID: nil), route: "POST /v1/sessions", key: key,
      body: ["proposalId": .string(proposal.text)])
    return try await desk.confirm(
      proposal, by: user, consent: consent, key: keyed,
      refused: { refusal in Stage.answer(refusal) })
  }

  static func answer(_ refusal: Refusal) -> Idempotency.Answer {
    let body: JSON = ["code": .string(refusal.code.rawValue)]
    return Idempotency.Answer(status: refusal.code.status, body: body.bytes)
  }

  /// Makes a person an account, where it has none.
  func join(_ user: ID<UserKind>) async throws {
    let now = clock.now
    try await database.write { connection throws in
      _ = try connection.run(
        """
        INSERT INTO user(id, email, password_hash, role, created_ms) VALUES (?, ?, '', 'user', ?)
        ON CONFLICT(id) DO NOTHING
        """, [.blob(user.bytes), .text(user.text), .int(now.milliseconds)])
    }
  }

  /// Makes a person one of a provider's.
  func employ(_ user: ID<UserKind>, at provider: String) async throws {
    try await database.write { connection throws in
      _ = try connection.run(
        "UPDATE user SET role = 'provider', provider_id = ? WHERE id = ?",
        [.text(provider), .blob(user.bytes)])
    }
  }

  /// A proposal and its confirmation, which must succeed.
  func start(_ service: String = "scribe", by user: ID<UserKind> = .anna) async throws -> Started {
    let proposal = try await desk.propose(serviceID: service, to: user)
    let answer = try await confirm(proposal.id, by: user, key: proposal.id.text)
    let view = try #require(try JSON.parse(answer.body).object)
    try #require(answer.status == 201, "answered \(JSON.object(view).text)")
    let id = try #require(ID<SessionKind>(view.text("id")))
    let token = try #require(parameter("marketplace_session", of: view.text("redirectUrl")))
    return Started(id: id, proposal: proposal.id, token: token, view: view)
  }

  /// A session that its provider has redeemed; also gives the session token.
  func startActive(
    _ service: String = "scribe", by user: ID<UserKind> = .anna, provider: String = "acme"
  ) async throws -> (session: Started, bearer: String) {
    let started = try await start(service, by: user)
    let view = try await desk.validate(token: started.token, provider: provider, origin: nil)
    return (started, view.text("token"))
  }

  /// Signs of life of an active user, so many seconds apart.
  func beat(
    _ id: ID<SessionKind>, from seq: Int64 = 1, times: Int64, every seconds: Int64 = 60
  ) async throws {
    for step in 0..<times {
      clock.move(seconds: seconds)
      _ = try await desk.heartbeat(id, by: .bearer(id), seq: seq + step, isActive: true)
    }
  }

  func view(_ id: ID<SessionKind>) async throws -> JSONObject {
    try await desk.session(id, for: .admin)
  }

  func balance(_ name: AccountName) async throws -> Balance {
    try await database.read { connection in try LedgerStore.balance(name, on: connection) }
  }

  /// What the verifiers find; nothing in a sound ledger whose sessions fit it.
  func faults() async throws -> [String] {
    try await database.read { connection in
      try LedgerVerifier.verify(connection).faults + SessionVerifier.verify(connection)
    }
  }

  func number(_ sql: String) async throws -> Int64 {
    try await database.read { connection throws in
      try connection.first(sql) { row in row.int(0) } ?? -1
    }
  }

  func texts(_ sql: String) async throws -> [String] {
    try await database.read { connection in try connection.rows(sql) { row in row.text(0) } }
  }
}

extension JSONObject {
  func text(_ key: String) -> String { self[key]?.string ?? "absent" }
  func int(_ key: String) -> Int64 { self[key]?.int ?? -1 }
}

/// The code in a stored refusal, or the status where there is none.
func code(_ answer: Idempotency.Answer) throws -> String {
  try JSON.parse(answer.body)["code"]?.string ?? String(answer.status)
}

/// A parameter of a link, as it is written there.
func parameter(_ name: String, of link: String) -> String? {
  let marks: Set<Character> = ["?", "&"]
  for part in link.split(whereSeparator: { marks.contains($0) }) where part.hasPrefix(name + "=") {
    return String(part.dropFirst(name.count + 1))
  }
  return nil
}

extension SessionState {
  /// Half an hour at 500 tokens an hour, made at 0.
  static func fresh(minutes: Int64 = 30, plan: Plan = .trial) -> SessionState {
    SessionState(ratePerHour: 500_000_000, duration: minutes * 60_000, createdAt: 0, plan: plan)
  }

  /// The same, redeemed at 0.
  static func redeemed(minutes: Int64 = 30, plan: Plan = .trial) throws -> SessionState {
    var state = fresh(minutes: minutes, plan: plan)
    try state.take(.validate, at: 0)
    return state
  }

  /// Applies everything that was due by now, in order of time.
  mutating func advance(to now: Int64) -> [Effect] {
    var effects: [Effect] = []
    while let step = step(to: now) { effects += step }
    return effects
  }

  /// Advances to a moment and applies an event there, as the desk does.
  @discardableResult
  mutating func take(_ event: Event, at moment: Int64) throws -> [Effect] {
    let due = advance(to: moment)
    let effects = try apply(event, at: moment)
    return due + effects + advance(to: moment)
  }

  /// Active heartbeats every 100 s from one moment up to another.
  mutating func beats(from start: Int64, through end: Int64) throws {
    for moment in stride(from: start, through: end, by: 100_000) {
      try take(.heartbeat(seq: moment, isActive: true), at: moment)
    }
  }
}

extension SessionState.Effect {
  var name: String {
    switch self {
    case .settle: "settle"
    case .release: "release"
    case .emit(let type, _): type
    }
  }
}

extension Stage {
  /// Makes a session one that cannot be settled: it says that it holds more than its holds do.
  func spoil(_ id: ID<SessionKind>) async throws {
    try await database.write { connection throws in
      _ = try connection.run(
        "UPDATE session SET held = held + 1 WHERE id = ?", [.blob(id.bytes)])
    }
  }
}
