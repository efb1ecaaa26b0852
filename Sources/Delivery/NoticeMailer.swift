internal import HTTPClient
public import Identity
internal import Primitives
internal import SQLite

/// Sends owners' notices by e-mail, one after the other: each at least once, in a bounded number of attempts, on the
/// schedule of the webhooks.
///
/// What is sent and not yet written down when the process dies is sent again, with the same Message-ID.
public struct NoticeMailer: Sendable {
  /// Hands an e-mail to the mail server in one attempt, or throws; tests put theirs in place of it.
  public typealias Letter = @Sendable (Mail) async throws -> Void

  /// Milliseconds after which a notice that was tried is not tried again; the attempts alone take half of it.
  public static let ageMax: Int64 = 7 * 86_400_000

  /// The attempt at which an e-mail that the mail server refuses for good is given up, some two and a half hours after
  /// the first: time to mend what the server has against us and says of the e-mail.
  public static let refusedMax = 5

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let letter: Letter
  private let log: @Sendable (String) -> Void

  init(
    database: Database, clock: Clock, random: RandomSource, letter: @escaping Letter,
    log: @escaping @Sendable (String) -> Void
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.letter = letter
    self.log = log
  }

  /// Works until it is cancelled; an attempt that is cut off is made again by the next start.
  public func run() async {
    while !Task.isCancelled {
      do {
        _ = try await deliverDue()
      } catch is CancellationError {
        return
      } catch {
        log("notices by e-mail: \(error)")
      }
      try? await Task.sleep(for: .seconds(1))  // a cancelled wait only ends it early
    }
  }

  /// Makes every attempt that is due now and waits for its end.
  ///
  /// - Returns: How many e-mails were looked at.
  public func deliverDue() async throws -> Int {
    var count = 0
    while try await deliverNext() { count += 1 }
    return count
  }

  private func deliverNext() async throws -> Bool {
    try Task.checkCancellation()
    let now = clock.now
    // What cannot be counted would be sent again and again.
    guard database.isWritable,
      try await database.read({ try NoticeMailStore.isDue(at: now, on: $0) })
    else { return false }
    let step = try await database.write { connection in
      try NoticeMailStore.begin(at: now, random: random, on: connection)
    }
    switch step {
    case .send(let attempt): try await send(attempt)
    case .givenUp(let label): say(label, "is given up: it is too old, or its attempts are over")
    case .dropped: break
    case nil: return false
    }
    return true
  }

  private func send(_ attempt: NoticeAttempt) async throws {
    var fault: (any Error)?
    do {
      try await letter(attempt.mail)
    } catch is CancellationError {
      // It says nothing about the mail server, and is counted already.
      throw CancellationError()
    } catch {
      fault = error
    }
    let now = clock.now
    let fate = fate(of: attempt, after: fault, at: now)
    try await database.write { try NoticeMailStore.finish(attempt.seq, fate, on: $0) }
    guard let fault else { return }
    let count = "attempt \(attempt.number) of \(DeliverySchedule.attemptsMax)"
    if case .again(let moment) = fate {
      say(attempt.label, "\(count) failed, the next in \((moment - now) / 1_000) s: \(fault)")
    } else {
      say(attempt.label, "is given up after \(count): \(fault)")
    }
  }

  private func fate(
    of attempt: NoticeAttempt, after fault: (any Error)?, at now: Timestamp
  ) -> NoticeFate {
    guard let fault else { return .sent }
    // To repeat for days what is refused for good harms the sender's name. What is refused of us is nobody's e-mail.
    let isOfMail = (fault as? MailRefused)?.subject == .mail
    let most = isOfMail ? NoticeMailer.refusedMax : DeliverySchedule.attemptsMax
    guard attempt.number < most else { return .dead }
    let noise = DeliverySchedule.noise(from: random)
    return .again(at: now + DeliverySchedule.wait(after: attempt.number, noise: noise))
  }

  /// Never with an address or a text.
  private func say(_ label: NoticeLabel, _ words: String) {
    log("the e-mail of \(label.type), event \(label.eventID), \(words)")
  }
}
