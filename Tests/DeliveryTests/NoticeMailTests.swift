import Delivery
import HTTPClient
import Identity
import Primitives
import SQLite
import Testing
import TestSupport

/// A mail server that is away, a process that dies: an owner's e-mail comes all the same, and not without end.
@Suite("Owners' notices by e-mail: at least once, in a bounded number of attempts")
struct NoticeMailTests {
  private static let away = TransferError.connection("no route")
  private static let day: Int64 = 86_400

  /// One person of acme who hears of a payout; the other is gone.
  private func stage(sendsMail: Bool = true) async throws -> Stage {
    let stage = try await Stage.withOwners(sendsMail: sendsMail)
    try await stage.write("DELETE FROM user WHERE email = 'ben@example.org'")
    try await stage.payOut("pay-1")
    return stage
  }

  /// Attempts whenever one is due, moving the clock, at most so often.
  private func attempts(_ stage: Stage, _ most: Int) async throws {
    for _ in 0..<most {
      try await stage.mail()
      guard try await movesOn(stage) else { return }
    }
  }

  /// Moves the clock to the next attempt, if there is to be one.
  private func movesOn(_ stage: Stage) async throws -> Bool {
    let next = try await stage.number("SELECT coalesce(min(next_ms), -1) FROM notice_mail")
    stage.clock.move(to: Timestamp(milliseconds: next))
    return next >= 0
  }

  private func state(_ stage: Stage) async throws -> [String] {
    try await stage.texts("SELECT state FROM notice_mail ORDER BY seq")
  }

  @Test("once the mail server is back the e-mail comes, and comes once")
  func back() async throws {
    let stage = try await stage()
    stage.post.fail(NoticeMailTests.away, count: 3)
    try await stage.mail()
    #expect(stage.post.taken.isEmpty && stage.post.tried.count == 1)
    try await stage.mail()
    #expect(stage.post.tried.count == 1, "nothing before its time")
    try await attempts(stage, 12)
    #expect(stage.post.tried.count == 4)
    #expect(stage.post.taken.map(\.recipient) == ["ann@example.org"])
    stage.clock.move(seconds: NoticeMailTests.day)
    try await stage.mail()
    #expect(stage.post.tried.count == 4)
    #expect(try await stage.desk.noticeFigures() == (0, 0))
  }

  @Test("ten attempts, each after its gap and its jitter, under one name; then it is given up")
  func givenUp() async throws {
    let stage = try await stage()
    stage.post.fail(NoticeMailTests.away, count: 20)
    try await stage.mail()
    #expect(try await stage.desk.noticeFigures() == (1, 0))
    try await attempts(stage, 12)
    let tried = stage.post.tried
    try #require(tried.count == DeliverySchedule.attemptsMax)
    for (index, gap) in DeliverySchedule.gaps.enumerated() {
      #expect((gap...(gap + gap / 10)).contains(tried[index + 1].at - tried[index].at))
    }
    let event = try await stage.texts("SELECT event_id FROM outbox WHERE type = 'notice.payout'")
    let mark = Mail.Mark(
      name: try #require(event.first), date: Timestamp(milliseconds: Stage.dawn))
    #expect(tried.allSatisfy { $0.mail.mark == mark })
    #expect(try await stage.desk.noticeFigures() == (0, 1))
    let said = stage.said.all.filter { $0.contains(mark.name) && $0.contains("e-mail") }
    #expect(said.count == 10)
    #expect(said.last?.contains("given up after attempt 10 of 10") == true)
    #expect(!stage.said.all.contains { $0.contains("example.org") }, "no address in the log")
  }

  @Test("what the mail server refuses for good is given up at the fifth attempt")
  func refused() async throws {
    let stage = try await stage()
    stage.post.fail(MailRefused(reply: 550, of: .mail), count: 20)
    try await attempts(stage, 4)
    #expect(stage.post.tried.count == 4)
    #expect(try await stage.desk.noticeFigures() == (1, 0))
    try await attempts(stage, 3)
    #expect(stage.post.tried.count == 5)
    #expect(try await state(stage) == ["dead"])
    #expect(stage.said.all.contains { $0.contains("given up") && $0.contains("550") })
    #expect(!stage.said.all.contains { $0.contains("example.org") }, "no address in the log")
  }

  @Test("a relay that is allowed in time sends what it refused before")
  func relayed() async throws {
    let stage = try await stage()
    stage.post.fail(MailRefused(reply: 554, of: .mail), count: 4)
    try await attempts(stage, 12)
    #expect(stage.post.tried.count == 5 && stage.post.taken.count == 1)
  }

  @Test("what the mail server has against us ends no notice before the bound")
  func refusedOfUs() async throws {
    let (mended, never) = (try await stage(), try await stage())
    mended.post.fail(MailRefused(reply: 553, of: .us), count: 9)
    never.post.fail(MailRefused(reply: 535, of: .us), count: 20)
    for stage in [mended, never] { try await attempts(stage, 12) }
    #expect(mended.post.tried.count == 10 && mended.post.taken.count == 1)
    #expect(never.post.tried.count == 10)
    #expect(try await state(never) == ["dead"])
  }

  @Test("a process that dies before the e-mail was sent leaves it to the next one")
  func killedBefore() async throws {
    let next = try await stage().restarted()
    try await next.mail()
    #expect(next.post.taken.map(\.recipient) == ["ann@example.org"])
    #expect(try await state(next) == ["sent"])
  }

  @Test("a process that dies over an attempt repeats it after its gap, so that receivers can tell")
  func killedAmid() async throws {
    let stage = try await stage()
    stage.post.fail(CancellationError(), isTaken: true)
    await #expect(throws: CancellationError.self) { try await stage.mail() }
    let next = try stage.restarted()
    try await next.mail()
    #expect(next.post.tried.count == 1, "counted, though nobody wrote down how it ended")
    try await attempts(next, 3)
    #expect(next.post.taken.count == 2)
    #expect(next.post.taken.first == next.post.taken.last && next.post.taken.first?.mark != nil)
    #expect(try await state(next) == ["sent"])
  }

  @Test("what ends the process each time is given up like the rest")
  func poison() async throws {
    var stage = try await stage()
    for _ in 0..<20 {
      stage.post.fail(CancellationError())
      do { try await stage.mail() } catch is CancellationError { stage = try stage.restarted() }
      guard try await movesOn(stage) else { break }
    }
    #expect(stage.post.tried.count == DeliverySchedule.attemptsMax)
    #expect(try await state(stage) == ["dead"])
  }

  @Test("a notice of more than a week that was tried is not worth another e-mail")
  func old() async throws {
    let (old, week) = (try await stage(), try await stage())
    for stage in [old, week] {
      stage.post.fail(NoticeMailTests.away)
      try await stage.mail()
    }
    old.clock.move(seconds: 7 * NoticeMailTests.day + 1)
    week.clock.move(seconds: 7 * NoticeMailTests.day)
    for stage in [old, week] { try await stage.mail() }
    #expect(old.post.tried.count == 1 && week.post.taken.count == 1)
    #expect(try await old.desk.noticeFigures() == (0, 1))
    #expect(old.said.all.contains { $0.contains("given up") })
  }

  @Test("a clock that leaps ahead takes no notice its one attempt")
  func leap() async throws {
    let stage = try await stage()
    stage.clock.move(seconds: 3_650 * NoticeMailTests.day)
    try await stage.mail()
    #expect(stage.post.taken.count == 1)
    #expect(try await state(stage) == ["sent"])
  }

  @Test("a clock that was ahead and is set right keeps no notice waiting")
  func setRight() async throws {
    let stage = try await stage()
    let years = 3_650 * NoticeMailTests.day
    stage.clock.move(seconds: years)
    stage.post.fail(NoticeMailTests.away)
    try await stage.mail()
    stage.clock.move(seconds: -years)
    try await stage.mail()
    #expect(stage.post.tried.count == 2 && stage.post.taken.count == 1)
  }

  @Test("the longest wait with all of its jitter is waited out")
  func longest() async throws {
    let stage = try await stage()
    let longest = Stage.dawn + 86_400_000 + 8_640_000
    try await stage.write("UPDATE notice_mail SET next_ms = ?", [.int(longest)])
    try await stage.mail()
    #expect(stage.post.tried.isEmpty)
    try await stage.write("UPDATE notice_mail SET next_ms = ?", [.int(longest + 1)])
    try await stage.mail()
    #expect(stage.post.taken.count == 1)
  }

  /// What takes ann away from acme's people.
  private static let leaves = [
    "UPDATE user SET frozen_ms = 2", "DELETE FROM user",
    "UPDATE user SET role = 'user', provider_id = NULL",
    "UPDATE user SET role = 'admin', provider_id = NULL",
    "UPDATE user SET provider_id = 'beta'",
  ].map { $0 + " WHERE email = 'ann@example.org'" }

  @Test("who is frozen, erased or of the provider no more gets nothing", arguments: leaves)
  func gone(_ change: String) async throws {
    let stage = try await stage()
    try await stage.write(change)
    try await stage.mail()
    #expect(stage.post.tried.isEmpty)
    #expect(try await state(stage) == [])
  }

  @Test("who left before the notice was routed is put down for no e-mail", arguments: leaves)
  func goneBefore(_ change: String) async throws {
    let stage = try await Stage.withOwners()
    try await stage.book("pay-1")
    try await stage.write(change)
    while try await stage.desk.sender.pump() {}
    // Of ben alone.
    #expect(try await state(stage) == ["due"])
    try await stage.mail()
    #expect(stage.post.taken.map(\.recipient) == ["ben@example.org"])
  }

  @Test("an address that was changed meanwhile is the one that counts")
  func moved() async throws {
    let stage = try await stage()
    try await stage.write("UPDATE user SET email = 'new@example.org' WHERE email LIKE 'ann@%'")
    try await stage.mail()
    #expect(stage.post.taken.map(\.recipient) == ["new@example.org"])
  }

  @Test("while the record takes no writes nothing is sent")
  func held() async throws {
    let stage = try await stage()
    stage.database.hold(Refusal(.storageUnavailable, "held"))
    try await stage.mail()
    #expect(stage.post.tried.isEmpty)
    stage.database.release()
    try await stage.mail()
    #expect(stage.post.taken.count == 1)
  }

  @Test("without a mail server nothing is kept for one")
  func none() async throws {
    let stage = try await stage(sendsMail: false)
    #expect(try await stage.number("SELECT count(*) FROM outbox_route") == 1)
    #expect(try await state(stage) == [])
  }

  @Test("the bound by the hour holds for what gathers while the mail server is away")
  func bounded() async throws {
    let stage = try await stage()
    let most = Int(OwnerNotice.mailsPerHourMax)
    for number in 0..<most + 5 { try await stage.payOut("more-\(number)") }
    #expect(try await state(stage).count == most)
  }

  @Test("what was written by a clock that was ahead uses nothing of the hour up")
  func boundedByNow() async throws {
    let stage = try await stage()
    let most = Int(OwnerNotice.mailsPerHourMax)
    stage.clock.move(seconds: NoticeMailTests.day)
    for number in 0..<most { try await stage.payOut("ahead-\(number)") }
    stage.clock.move(seconds: -NoticeMailTests.day)
    try await stage.payOut("now")
    #expect(try await state(stage).count == most + 2)
  }
}
