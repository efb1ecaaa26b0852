import HTTPClient
import Identity
import Primitives
import Synchronization
import Testing
import TestSupport

@Suite("nobody uses up the e-mails that another needs")
struct MailAllowanceTests {
  private let time = MovableClock(Timestamp(milliseconds: 1_800_000_000_000))
  private let desk: MailDesk
  private let victim = "ann@b.c"

  init() {
    desk = MailDesk(
      server: MailServer(
        url: "smtp://127.0.0.1:9", user: nil, password: nil, needsTLS: false),
      sender: "waypost@b.c", clock: time.clock, random: .seeded(3), log: { _ in })
  }

  private let sender = Sender()

  private final class Count: Sendable {
    let value = Mutex(0)
  }

  /// The one task that sends; it begins with the first wait.
  private final class Sender: Sendable {
    private let task = Mutex<Task<Void, Never>?>(nil)

    func begin(_ desk: MailDesk) {
      task.withLock { task in
        if task == nil { task = Task { await desk.run() } }
      }
    }

    deinit { task.withLock { $0?.cancel() } }
  }

  /// How many of so many e-mails would be sent.
  private func sent(_ count: Int, _ purpose: MailDesk.Purpose) async throws -> Int {
    let made = Count()
    for _ in 0..<count {
      try desk.submit(to: victim, for: purpose) {
        made.value.withLock { $0 += 1 }
        return nil
      }
    }
    await drain()
    return made.value.withLock { $0 }
  }

  /// Waits until everything that was taken is done.
  private func drain() async {
    sender.begin(desk)
    let (ends, end) = AsyncStream.makeStream(of: Void.self)
    while await refusal(of: {
      try desk.submit(to: "none@b.c", isNotice: true) {
        end.finish()
        return nil
      }
    }) != nil {
      await Task.yield()
    }
    for await _ in ends {}
  }

  @Test("four at once, then one each quarter of an hour")
  func refills() async throws {
    #expect(try await sent(9, .reset) == 4)
    time.move(seconds: 899)
    #expect(try await sent(1, .reset) == 0)
    time.move(seconds: 1)
    #expect(try await sent(9, .reset) == 1)
    time.move(seconds: 3_600)
    #expect(try await sent(9, .reset) == 4)
  }

  @Test("whoever asks for everything else leaves a reset its four")
  func purposes() async throws {
    #expect(try await sent(9, .registration(from: "192.0.2.1")) == 4)
    #expect(try await sent(9, .proof) == 4)
    #expect(try await sent(9, .reset) == 4)
  }

  @Test("a registration can be asked for from elsewhere, within what an address bears")
  func registrations() async throws {
    #expect(try await sent(9, .registration(from: "192.0.2.1")) == 4)
    #expect(try await sent(9, .registration(from: "192.0.2.2")) == 4)
    #expect(try await sent(9, .registration(from: "192.0.2.3")) == 4)
    #expect(try await sent(9, .registration(from: "192.0.2.4")) == 0)
    time.move(seconds: 300)
    #expect(try await sent(9, .registration(from: "192.0.2.4")) == 1)
  }

  @Test("what found no room uses nothing up")
  func room() async throws {
    for index in 0..<MailDesk.waitingMax {
      try desk.submit(to: "n\(index)@b.c", for: .reset) { nil }
    }
    for _ in 0..<9 {
      let refused = await refusal { try desk.submit(to: victim, for: .reset) { nil } }
      #expect(refused?.code == .storageUnavailable)
    }
    await drain()
    #expect(try await sent(9, .reset) == 4)
  }
}
