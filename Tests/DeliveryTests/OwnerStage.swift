import Delivery
import Identity
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

/// Stands in for the mail server: takes e-mails, or fails as it is told, and remembers both.
final class PostOffice: Sendable {
  /// One attempt.
  struct Attempt: Sendable {
    let mail: Mail
    let at: Timestamp
    let isTaken: Bool
  }

  private struct Fault {
    let error: any Error
    let isTaken: Bool
  }

  private let attempts = Mutex<[Attempt]>([])
  private let faults = Mutex<[Fault]>([])
  private let clock: MovableClock

  init(clock: MovableClock) { self.clock = clock }

  var tried: [Attempt] { attempts.withLock { attempts -> [Attempt] in attempts } }
  var taken: [Mail] { tried.filter(\.isTaken).map(\.mail) }

  /// How the next attempts fail.
  ///
  /// - Parameter isTaken: Whether the server has the e-mail all the same.
  func fail(_ error: any Error, count: Int = 1, isTaken: Bool = false) {
    let fault = Fault(error: error, isTaken: isTaken)
    faults.withLock { faults in faults += Array(repeating: fault, count: count) }
  }

  func take(_ mail: Mail) throws {
    let fault = faults.withLock { faults in faults.isEmpty ? nil : faults.removeFirst() }
    let attempt = Attempt(mail: mail, at: clock.now, isTaken: fault?.isTaken ?? true)
    attempts.withLock { attempts in attempts.append(attempt) }
    if let fault { throw fault.error }
  }
}

/// Lines of a log.
final class Lines: Sendable {
  private let lines = Mutex<[String]>([])

  var all: [String] { lines.withLock { lines -> [String] in lines } }
  func add(_ line: String) { lines.withLock { lines in lines.append(line) } }
}

extension Stage {
  private static let people = [
    ("ann@example.org", "acme", false), ("ben@example.org", "acme", false),
    ("cut@example.org", "acme", true), ("dan@example.org", "beta", false),
  ]

  /// One of the people, by place.
  static func owner(_ number: Int) throws -> ID<UserKind> {
    try #require(ID<UserKind>(bytes: [UInt8](repeating: UInt8(number + 1), count: 16)))
  }

  /// Two people of acme, one that was frozen, and one of another provider.
  static func withOwners(sendsMail: Bool = true) async throws -> Stage {
    let stage = try await Stage(sendsMail: sendsMail)
    for (number, person) in people.enumerated() {
      try await stage.write(
        """
        INSERT INTO user(id, email, password_hash, role, provider_id, created_ms, frozen_ms)
        VALUES (?, ?, '', 'provider', ?, 1, ?)
        """,
        [
          .blob(try owner(number).bytes), .text(person.0), .text(person.1),
          .optional(person.2 ? 1 : nil),
        ])
    }
    return stage
  }

  /// Tells acme's people of a payout; the e-mails are still to be sent.
  func payOut(_ reference: String) async throws {
    try await book(reference)
    while try await desk.sender.pump() {}
  }

  /// A payout of acme whose notices are in the outbox, and on their way to nobody yet.
  func book(_ reference: String) async throws {
    let now = clock.now
    let notice = OwnerNotice.payout(
      Microtokens(1_500_000), reference: reference, transfer: "t-1")
    try await database.write { connection in
      try notice.tell(ownersOf: "acme", at: now, random: random, on: connection)
    }
  }

  /// Sends the e-mails that are due.
  func mail() async throws {
    _ = try await desk.notices?.deliverDue()
  }
}
