import API
import Delivery
import Foundation
import Identity
import Ledger
import Primitives
import SQLite
import Sessions

/// `waypost ledger`: on the data folder where no server runs, else through the server's API.
enum LedgerCommand {
  private static let usage = """
    waypost ledger: ledger verify | balance --account A [--at T] | statement --account A [--from T] [--to T] [--csv]
      | grant --account user:ID --tokens N --reason R | payout --account provider:ID --tokens N --reference R --reason R
    """

  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let link = ServerLink(arguments)
    switch arguments.words {
    case ["verify"]: return try await verify(arguments, link)
    case ["balance"]: return try await balance(arguments, link)
    case ["statement"]: return try await statement(arguments, link)
    case ["grant"]: return try await grant(arguments, link)
    case ["payout"]: return try await payOut(arguments, link)
    default:
      Terminal.words(usage)
      return .misuse
    }
  }

  private static func verify(_ arguments: Arguments, _ link: ServerLink?) async throws -> Exit {
    let faults: [String]
    let wrongMarks: [String]
    let count: Int64
    if let link {
      let answer = try parsed(try await link.whole(link.read("/v1/ledger/verify")))
      faults = (answer["faults"]?.array ?? []).compactMap(\.string)
      wrongMarks = (answer["wrongMarks"]?.array ?? []).compactMap(\.string)
      count = answer["transfers"]?.int ?? 0
    } else {
      let folder = try DataFolder(arguments.text("data") ?? "./data")
      let clock = DataFolder.clock
      let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: .system)
      let report = try await LedgerAuditor(
        database: folder.record, clock: clock, seal: ChainSeal(keys: keys, clock: clock)
      ).audit()
      let sessions = try await folder.record.read { try SessionVerifier.verify($0) }
      let audit = try await AuditKeeper(
        database: folder.record, clock: clock, keys: keys, headPath: folder.auditHead
      ).audit().faults
      faults = report.faults + sessions + audit
      wrongMarks = report.wrongMarks
      // The verification has deleted all; a server's are written again while it runs.
      if report.isSound, !wrongMarks.isEmpty {
        try await LedgerMarker(database: folder.record).catchUp()
      }
      count = Int64(report.transferCount)
    }
    show(faults, wrongMarks, ofTransfers: count, isJSON: arguments.isSet("json"))
    // Wrong marks are written again, but whoever watches must hear that something has written the file.
    return faults.isEmpty && wrongMarks.isEmpty ? .done : .refused
  }

  private static func show(
    _ faults: [String], _ wrongMarks: [String], ofTransfers count: Int64, isJSON: Bool
  ) {
    if isJSON {
      Terminal.data(
        JSON.object([
          "sound": .bool(faults.isEmpty), "transfers": .int(count), "faults": .strings(faults),
          "wrongMarks": .strings(wrongMarks),
        ]).text)
      return
    }
    Terminal.data(faults.isEmpty ? "sound: \(count) transfers" : "NOT SOUND: \(count) transfers")
    for fault in faults { Terminal.data(Terminal.safe("  " + fault)) }
    guard !wrongMarks.isEmpty else { return }
    Terminal.data(
      "WRONG MARKS, no unit depends on them (over a sound ledger all are written again):")
    for mark in wrongMarks { Terminal.data(Terminal.safe("  " + mark)) }
  }

  private static func balance(_ arguments: Arguments, _ link: ServerLink?) async throws -> Exit {
    let name = try accountText(arguments)
    let moment = try moment(arguments)
    let view: JSON
    if let link {
      var path = "/v1/admin/ledger/balance?account=" + escaped(name)
      if let at = arguments.text("at") { path += "&at=" + escaped(at) }
      view = try parsed(try await link.whole(link.read(path)))
    } else {
      let account = try account(name)
      let folder = try DataFolder(arguments.text("data") ?? "./data")
      let balance = try await read(folder) { record in
        guard let moment else {
          return try await record.read { try LedgerStore.balance(account, on: $0) }
        }
        return try await LedgerStore.balance(account, at: moment, in: record)
      }
      view = .object(balance.json)
    }
    if arguments.isSet("json") {
      Terminal.data(view.text)
    } else {
      for (word, field) in [("balance", "balance"), ("held", "held"), ("available", "available")] {
        let count = view[field + "Microtokens"]?.int ?? 0
        Terminal.data("\(word)  \(Microtokens(count).tokens) tokens")
      }
    }
    return .done
  }

  private static func statement(_ arguments: Arguments, _ link: ServerLink?) async throws -> Exit {
    let name = try accountText(arguments)
    // The flag is also of tune, where it has a default.
    let from = arguments.isSet("from") ? arguments.text("from") : nil
    let to = arguments.text("to")
    if let link {
      var path = "/v1/admin/ledger/statement?account=" + escaped(name)
      path += arguments.isSet("csv") ? "&format=csv" : "&format=json"
      if let from { path += "&from=" + escaped(from) }
      if let to { path += "&to=" + escaped(to) }
      let bytes = try await link.whole(link.read(path))
      Terminal.raw(String(decoding: bytes, as: UTF8.self) + (arguments.isSet("csv") ? "" : "\n"))
      return .done
    }
    let account = try account(name)
    let now = DataFolder.clock.now
    let start = try from.map { try time($0, "from") } ?? SpendingLimits.Period.month.start(of: now)
    let end = try to.map { try time($0, "to") } ?? now + 1
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let statement = try await read(folder) { record in
      try await LedgerStore.statement(of: account, from: start, to: end, in: record)
    }
    if arguments.isSet("csv") {
      Terminal.raw(statement.csv)
    } else {
      Terminal.data(JSON.object(statement.json).text)
    }
    return .done
  }

  /// Reads from a folder without a server. A long past is read by marks that a server writes: here that is done first.
  private static func read<T: Sendable>(
    _ folder: DataFolder, _ body: (Database) async throws -> T
  ) async throws -> T {
    do {
      return try await body(folder.record)
    } catch let refusal as Refusal where refusal.code == .storageUnavailable {
      try await LedgerMarker(database: folder.record).catchUp()
      return try await body(folder.record)
    }
  }

  private static func grant(_ arguments: Arguments, _ link: ServerLink?) async throws -> Exit {
    let name = try accountText(arguments)
    let amount = try amount(arguments)
    guard name.hasPrefix("user:"), let user = ID<UserKind>(String(name.dropFirst(5))) else {
      throw refusal("account", "must be user:ID")
    }
    let reason = try required(arguments, "reason")
    if let link {
      return try await order(
        link, "/v1/admin/grants",
        [
          "userId": .string(user.text), "amountMicrotokens": .int(amount.count),
          "reason": .string(reason),
        ])
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let clock = DataFolder.clock
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: .system)
    let gate = LedgerGate(
      database: folder.record, clock: clock, seal: ChainSeal(keys: keys, clock: clock))
    try await gate.openInTerminal()
    let accounts = Accounts(
      database: folder.record, clock: clock, random: .system, keys: keys, issuer: "waypost")
    guard try await accounts.user(user) != nil else {
      throw Refusal(.notFound, "There is no such user.")
    }
    let id = ID<TransferKind>(at: clock.now, random: .system)
    _ = try await folder.record.write { connection in
      try LedgerStore.grant(
        id, to: .user(user), amount, throughGrants: false, LedgerOrder(actor: [], reason: reason),
        at: clock.now, on: connection)
      try AuditLog.record(
        "ledger.grant", on: "user:" + user.text, detail: "microtokens=\(amount.count)",
        by: .terminal, at: clock.now, on: connection)
    }
    Terminal.data("granted \(amount.tokens) tokens, transfer \(id.text)")
    return .done
  }

  private static func payOut(_ arguments: Arguments, _ link: ServerLink?) async throws -> Exit {
    let name = try accountText(arguments)
    let amount = try amount(arguments)
    guard name.hasPrefix("provider:") else { throw refusal("account", "must be provider:ID") }
    let provider = String(name.dropFirst(9))
    let reason = try required(arguments, "reason")
    let reference = try required(arguments, "reference")
    if let link {
      return try await order(
        link, "/v1/admin/payouts",
        [
          "providerId": .string(provider), "amountMicrotokens": .int(amount.count),
          "reason": .string(reason), "reference": .string(reference),
        ])
    }
    let folder = try DataFolder(arguments.text("data") ?? "./data")
    let clock = DataFolder.clock
    let now = clock.now
    let keys = try KeyRing(folder: folder.path + "/keys", at: now, random: .system)
    let gate = LedgerGate(
      database: folder.record, clock: clock, seal: ChainSeal(keys: keys, clock: clock))
    try await gate.openInTerminal()
    let (id, isNew) = try await folder.record.write { connection in
      let booked = try LedgerStore.payOut(
        to: provider, amount, reference: reference, LedgerOrder(actor: [], reason: reason),
        at: now, on: connection)
      if booked.isNew {
        try AuditLog.record(
          "ledger.payout", on: "provider:" + provider, detail: "microtokens=\(amount.count)",
          by: .terminal, at: now, on: connection)
        try OwnerNotice.payout(amount, reference: reference, transfer: booked.id.text).tell(
          ownersOf: provider, at: now, random: .system, on: connection)
      }
      return booked
    }
    Terminal.data((isNew ? "booked" : "booked before") + ", transfer \(id.text)")
    return .done
  }

  /// Gives an order to the server; the key makes its repeat harmless should the answer get lost.
  private static func order(
    _ link: ServerLink, _ path: String, _ body: JSONObject
  ) async throws -> Exit {
    let key = BytesText.hex(RandomSource.system.bytes(16))
    let bytes = try await link.whole(
      link.post(
        path, JSON.object(body).bytes, headers: [(name: "Idempotency-Key", value: key)]))
    Terminal.data(String(decoding: bytes, as: UTF8.self))
    return .done
  }

  // MARK: Arguments

  private static func accountText(_ arguments: Arguments) throws -> String {
    let text = try required(arguments, "account")
    _ = try account(text)
    return text
  }

  private static func account(_ text: String) throws -> AccountName {
    guard let account = AccountName(text) else {
      throw refusal("account", "must be user:ID, provider:ID or a platform account")
    }
    return account
  }

  private static func required(_ arguments: Arguments, _ flag: String) throws -> String {
    guard let text = arguments.text(flag), !text.isEmpty else {
      throw refusal(flag, "is missing")
    }
    return text
  }

  /// Whole tokens, or with up to six places.
  private static func amount(_ arguments: Arguments) throws -> Microtokens {
    let text = try required(arguments, "tokens")
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let places = parts.count > 1 ? String(parts[1]) : ""
    let digits = String(parts[0]) + places + String(repeating: "0", count: max(0, 6 - places.count))
    guard parts.count <= 2, places.count <= 6, !parts[0].isEmpty,
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int64(digits)
    else { throw refusal("tokens", "must be an amount such as 100 or 12.5") }
    return Microtokens(count)
  }

  private static func moment(_ arguments: Arguments) throws -> LedgerMoment? {
    guard let text = arguments.text("at") else { return nil }
    if let sequence = Int64(text), sequence >= 0 { return .sequence(sequence) }
    return .time(try time(text, "at"))
  }

  private static func time(_ text: String, _ flag: String) throws -> Timestamp {
    guard let time = Timestamp(rfc3339: text) ?? Timestamp.parse(date: text) else {
      throw refusal(flag, "must be a date, or a time like 2026-11-20T18:05:00Z")
    }
    return time
  }

  private static func refusal(_ flag: String, _ reason: String) -> Refusal {
    Refusal(
      .validationFailed, "A flag of the ledger command is not right.",
      fields: [.init("--" + flag, reason)])
  }

  private static func parsed(_ bytes: [UInt8]) throws -> JSON { try JSON.parse(bytes) }

  /// A time of a query: its colons and plus signs.
  private static func escaped(_ text: String) -> String {
    text.utf8.map { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E: String(UnicodeScalar(byte))
      default: "%" + BytesText.hex([byte]).uppercased()
      }
    }.joined()
  }
}

extension LedgerGate {
  /// `open` for a command: what is wrong goes to the terminal.
  func openInTerminal() async throws {
    do {
      try await open()
    } catch {
      if case .unsound(let faults) = state {
        for fault in faults.prefix(3) {
          Terminal.words(Terminal.safe("the ledger is not sound: " + fault))
        }
      }
      throw error
    }
  }
}
