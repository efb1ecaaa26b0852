internal import Identity
internal import Primitives
internal import SQLite

/// What there is to do for the e-mail whose time came first.
enum NoticeStep: Sendable {
  case send(NoticeAttempt)
  /// It is too old, or its last attempt ended with the process.
  case givenUp(NoticeLabel)
  /// Nobody is to get it any more.
  case dropped
}

/// A notice as the log names it.
struct NoticeLabel: Sendable {
  let type: String
  let eventID: String
}

/// An attempt that has begun, and is counted.
struct NoticeAttempt: Sendable {
  let seq: Int64
  let label: NoticeLabel
  let mail: Mail
  /// Its number, from 1.
  let number: Int
}

/// What becomes of an e-mail after an attempt.
enum NoticeFate: Sendable {
  case sent, dead
  /// Not before this moment.
  case again(at: Timestamp)
}

/// Owners' notices on their way by e-mail.
enum NoticeMailStore {
  /// Puts a notice that was just routed on its way; anything else, and what is above the bound of e-mails, is not.
  static func add(
    _ routed: RoutedEvent, at now: Timestamp, on connection: Connection
  ) throws {
    guard let user = routed.user, routed.event.type.hasPrefix(OwnerNotice.prefix),
      try OwnerNoticeStore.address(of: user, for: routed.event, on: connection) != nil
    else { return }
    let count = try begun(routed.event.type, to: user, inTheHourBefore: now, on: connection)
    guard count < OwnerNotice.mailsPerHourMax else { return }
    try connection.run(
      """
      INSERT INTO notice_mail(seq, user_id, state, next_ms, created_ms)
      VALUES (?1, ?2, 'due', ?3, ?3)
      """, [.int(routed.event.seq), .blob(user), .int(now.milliseconds)])
  }

  private static func begun(
    _ type: String, to user: [UInt8], inTheHourBefore now: Timestamp, on connection: Connection
  ) throws -> Int64 {
    // What a clock that was ahead has written counts for nothing: it would for as long as the clock was ahead.
    try connection.first(
      """
      SELECT count(*) FROM notice_mail m JOIN outbox o ON o.seq = m.seq
      WHERE m.user_id = ?1 AND m.created_ms > ?2 - 3600000 AND m.created_ms <= ?2 AND o.type = ?3
      """, [.blob(user), .int(now.milliseconds), .text(type)]
    ) { $0.int(0) } ?? 0
  }

  /// Whose time has come; `?1` is now, and `?2` the last moment that a wait from now can end at. What lies behind it was
  /// written by a clock that was ahead, and would wait for as long.
  private static let dueNow = "state = 'due' AND (next_ms <= ?1 OR next_ms > ?2)"

  private static func bounds(_ now: Timestamp) -> [SQLValue] {
    [.int(now.milliseconds), .int((now + DeliverySchedule.waitMax).milliseconds)]
  }

  static func isDue(at now: Timestamp, on connection: Connection) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM notice_mail WHERE \(dueNow) LIMIT 1", bounds(now)
    ) { _ in true } ?? false
  }

  /// Begins the attempt whose time came first, or ends what gets none any more.
  ///
  /// An attempt counts before it is made: what ends the process each time must not be sent for ever.
  static func begin(
    at now: Timestamp, random: RandomSource, on connection: Connection
  ) throws -> NoticeStep? {
    guard let due = try due(at: now, on: connection) else { return nil }
    let event = due.event
    let label = NoticeLabel(type: event.type, eventID: event.eventID)
    guard let address = try OwnerNoticeStore.address(of: due.user, for: event, on: connection),
      var mail = OwnerNotice.mail(of: event, to: address)
    else {
      try connection.run("DELETE FROM notice_mail WHERE seq = ?", [.int(event.seq)])
      return .dropped
    }
    // One attempt it gets whatever the clock says, which may be ahead.
    let isOld = due.tries > 0 && now - due.occurred > NoticeMailer.ageMax
    guard due.tries < DeliverySchedule.attemptsMax, !isOld else {
      try finish(event.seq, .dead, on: connection)
      return .givenUp(label)
    }
    let number = due.tries + 1
    let noise = DeliverySchedule.noise(from: random)
    let next = now + DeliverySchedule.wait(after: number, noise: noise)
    try connection.run(
      "UPDATE notice_mail SET tries = ?, next_ms = ? WHERE seq = ?",
      [.int(Int64(number)), .int(next.milliseconds), .int(event.seq)])
    mail.mark = Mail.Mark(name: event.eventID, date: due.occurred)
    return .send(NoticeAttempt(seq: event.seq, label: label, mail: mail, number: number))
  }

  private struct Due {
    let event: OutboxEvent
    let user: [UInt8]
    let tries: Int
    let occurred: Timestamp
  }

  private static func due(at now: Timestamp, on connection: Connection) throws -> Due? {
    try connection.first(
      """
      SELECT o.seq, o.event_id, o.type, o.payload, m.user_id, m.tries, o.occurred_ms
      FROM notice_mail m JOIN outbox o ON o.seq = m.seq
      WHERE \(dueNow) ORDER BY next_ms LIMIT 1
      """, bounds(now)
    ) { row in
      Due(
        event: OutboxStore.event(row), user: row.blob(4), tries: Int(row.int(5)),
        occurred: Timestamp(milliseconds: row.int(6)))
    }
  }

  /// Writes down what came of an attempt; nothing where its person has gone meanwhile.
  static func finish(_ seq: Int64, _ fate: NoticeFate, on connection: Connection) throws {
    let (state, next): (String, Timestamp?) =
      switch fate {
      case .sent: ("sent", nil)
      case .dead: ("dead", nil)
      case .again(let moment): ("due", moment)
      }
    try connection.run(
      "UPDATE notice_mail SET state = ?, next_ms = ? WHERE seq = ?",
      [.text(state), .optional(next?.milliseconds), .int(seq)])
  }

  /// E-mails that wait, and those that were given up.
  static func figures(
    _ connection: Connection
  ) throws -> (pending: Int64, givenUp: Int64) {
    func count(_ state: String) throws -> Int64 {
      try connection.first(
        "SELECT count(*) FROM notice_mail WHERE state = ?", [.text(state)]
      ) { $0.int(0) } ?? 0
    }
    return (try count("due"), try count("dead"))
  }
}
