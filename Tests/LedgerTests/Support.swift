import Cryptography
import Foundation
import Index
import Ledger
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

/// A real record in a folder of its own.
struct Book: Sendable {
  let folder: TemporaryFolder
  let database: Database

  init(in folder: TemporaryFolder? = nil) throws {
    let folder = try folder ?? TemporaryFolder()
    self.folder = folder
    database = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
  }

  /// Runs the steps in one transaction.
  @discardableResult
  func write<T: Sendable>(_ body: @escaping @Sendable (Till) throws -> T) async throws -> T {
    try await database.write { connection in try body(Till(connection: connection)) }
  }

  /// A verifier whose checkpoints are signed with an HMAC that every test knows.
  func auditor(key: [UInt8] = [7], knows: Bool = true, at now: Int64 = 5_000) -> LedgerAuditor {
    let seal = ChainSeal(
      sign: { message in (keyID: "test", signature: Digest.hmac(key: key, message)) },
      verifies: { _, signature, message in
        knows ? Digest.equal(signature, Digest.hmac(key: key, message)) : nil
      })
    return LedgerAuditor(
      database: database, clock: Clock { Timestamp(milliseconds: now) }, seal: seal)
  }

  func verify() async throws -> LedgerReport {
    try await database.read { connection in try LedgerVerifier.verify(connection) }
  }
}

extension AccountName {
  static let bank = AccountName.platform(.externalPayments)
  static let payouts = AccountName.platform(.externalPayouts)
  static let fees = AccountName.platform(.platformFees)
  static let anna = AccountName.user(ID<TransferKind>(high: 0, low: 1))
  static let carl = AccountName.user(ID<TransferKind>(high: 0, low: 3))
  static let promo = AccountName.platform(.platformPromoExpense)
  static let chargebacks = AccountName.platform(.platformChargebacks)
  static let kiosk = AccountName.provider("kiosk")
  static let bert = AccountName.user(ID<TransferKind>(high: 0, low: 2))
  static let shop = AccountName.provider("shop")
}

extension LedgerOrder {
  static let test = LedgerOrder(actor: [], reason: "test")
}

/// What an account has, as plain numbers.
struct Pocket: Equatable, Sendable {
  let balance: Int64
  let held: Int64

  init(_ balance: Int64, held: Int64 = 0) {
    self.balance = balance
    self.held = held
  }
}

/// The ledger's functions on one connection at one moment, with small ids.
struct Till {
  let connection: Connection
  var now = Timestamp(milliseconds: 1_000)

  func at(_ milliseconds: Int64) -> Till {
    Till(connection: connection, now: Timestamp(milliseconds: milliseconds))
  }

  @discardableResult
  func post(
    _ id: UInt64, _ amount: Int64, from debit: AccountName, to credit: AccountName,
    reason: String = "test", settles: Bool = false
  ) throws -> Bool {
    try LedgerStore.post(
      ID(high: 0, low: id), from: debit, to: credit, Microtokens(amount), reason: reason,
      settles: settles, at: now, on: connection)
  }

  @discardableResult
  func hold(
    _ id: UInt64, _ amount: Int64, from debit: AccountName = .anna,
    to credit: AccountName = .shop, until expires: Int64 = 60_000, reference: [UInt8] = [1]
  ) throws -> Bool {
    try LedgerStore.hold(
      ID(high: 0, low: id), reference: reference, from: debit, to: credit, Microtokens(amount),
      expiresAt: Timestamp(milliseconds: expires), reason: "test", at: now, on: connection)
  }

  @discardableResult
  func capture(
    _ id: UInt64, of hold: UInt64, _ amount: Int64, keepsOpen: Bool = false
  ) throws -> Bool {
    try LedgerStore.capture(
      ID(high: 0, low: id), hold: ID(high: 0, low: hold), Microtokens(amount),
      keepsOpen: keepsOpen, reason: "test", at: now, on: connection)
  }

  @discardableResult
  func void(_ id: UInt64, of hold: UInt64) throws -> Bool {
    try LedgerStore.void(
      ID(high: 0, low: id), hold: ID(high: 0, low: hold), reason: "test", at: now, on: connection)
  }

  @discardableResult
  func refund(_ id: UInt64, of capture: UInt64, _ amount: Int64) throws -> Bool {
    try LedgerStore.refund(
      ID(high: 0, low: id), capture: ID(high: 0, low: capture), Microtokens(amount),
      reason: "test", at: now, on: connection)
  }

  func fee(_ id: UInt64, of capture: UInt64, _ captured: Int64, basisPoints: Int64 = 2_000) throws {
    try LedgerStore.fee(
      ID(high: 0, low: id), ofCapture: ID(high: 0, low: capture), captured: Microtokens(captured),
      provider: .shop, basisPoints: basisPoints, at: now, on: connection)
  }

  func expire(seed: UInt64 = 7) throws {
    try LedgerStore.expireDue(at: now, random: .seeded(seed), on: connection)
  }

  @discardableResult
  func grant(
    _ id: UInt64, _ amount: Int64, to user: AccountName = .anna, throughGrants: Bool = false
  ) throws -> Bool {
    try LedgerStore.grant(
      ID(high: 0, low: id), to: user, Microtokens(amount), throughGrants: throughGrants, .test,
      at: now, on: connection)
  }

  @discardableResult
  func payOut(_ amount: Int64, reference: String, to provider: String = "shop") throws -> Bool {
    try LedgerStore.payOut(
      to: provider, Microtokens(amount), reference: reference, .test, at: now, on: connection
    ).isNew
  }

  /// What every account has, in one look.
  func pockets() throws -> [AccountName: Pocket] {
    let rows = try connection.rows(
      "SELECT kind, owner, credits_posted - debits_posted, debits_pending FROM account"
    ) { row in
      (
        AccountKind(rawValue: row.text(0)).map { AccountName(kind: $0, owner: row.blob(1)) },
        Pocket(row.int(2), held: row.int(3))
      )
    }
    var pockets: [AccountName: Pocket] = [:]
    for case (let name?, let pocket) in rows { pockets[name] = pocket }
    return pockets
  }

  func pocket(_ name: AccountName) throws -> Pocket {
    let balance = try LedgerStore.balance(name, on: connection)
    return Pocket(balance.balance.count, held: balance.held.count)
  }

  func number(_ sql: String) throws -> Int64 {
    try connection.first(sql) { row in row.int(0) } ?? -1
  }

  func texts(_ sql: String) throws -> [String] {
    try connection.rows(sql) { row in row.text(0) }
  }

  /// Everything that money can be read from; accounts that were never used are left out.
  func photograph() throws -> [String] {
    let accounts = try texts(
      """
      SELECT printf('%s %s %d %d %d %d', kind, hex(owner), debits_pending, debits_posted,
      credits_pending, credits_posted) FROM account
      WHERE debits_pending + debits_posted + credits_pending + credits_posted > 0 ORDER BY id
      """)
    let holds = try texts(
      "SELECT printf('%s %d %d %s', hex(id), amount, captured, state) FROM hold ORDER BY id")
    return accounts + holds + [String(try number("SELECT count(*) FROM transfer"))]
  }
}

/// The code of the refusal that the body throws, or nil where it succeeds.
func refusal<T>(of body: () throws -> T) throws -> ProblemCode? {
  do {
    _ = try body()
    return nil
  } catch let refusal as Refusal {
    return refusal.code
  }
}

/// One refused act on a prepared ledger.
struct RefusedCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let code: ProblemCode
  let prepare: @Sendable (Till) throws -> Void
  let act: @Sendable (Till) throws -> Void

  init(
    _ testDescription: String, _ code: ProblemCode,
    after prepare: @escaping @Sendable (Till) throws -> Void = { _ in },
    act: @escaping @Sendable (Till) throws -> Void
  ) {
    self.testDescription = testDescription
    self.code = code
    self.prepare = prepare
    self.act = act
  }

  /// Prepares, acts, and expects the code and an unchanged ledger.
  func check(_ till: Till) throws {
    try prepare(till)
    let before = try till.photograph()
    #expect(try refusal { try act(till) } == code)
    #expect(try till.photograph() == before)
  }
}
