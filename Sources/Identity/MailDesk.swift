internal import Cryptography
public import HTTPClient
public import Primitives
internal import Synchronization

/// One e-mail of ours: plain text to one address.
public struct Mail: Sendable, Equatable {
  /// To whom.
  public let recipient: String
  /// The subject, ASCII.
  public let subject: String
  /// The text; lines end in line feeds.
  public let text: String
  /// What a repeat is known by; nil for what nothing repeats.
  public var mark: Mark?

  /// What is the same whenever an e-mail is sent: receivers drop what they have.
  public struct Mark: Sendable, Equatable {
    /// What stands before the `@` of the Message-ID: letters, digits, `-` and `_`.
    public let name: String
    /// The e-mail's date.
    public let date: Timestamp

    /// A mark.
    public init(name: String, date: Timestamp) {
      self.name = name
      self.date = date
    }
  }
}

/// Sends e-mail beside the requests that ask for it, so that an answer tells nothing of whether one was sent.
public final class MailDesk: Sendable {
  /// What is to be sent; nil where nothing is, as for an address that has no account.
  public typealias Work = @Sendable () async throws -> Mail?

  /// E-mails that may wait.
  public static let waitingMax = 256
  /// What an e-mail is for. Each has an allowance of its own: nobody can use up what another needs.
  public enum Purpose: Sendable {
    /// A new password. Whoever asks for it too often, there is a code in the mail box that works.
    case reset
    /// A proof of an account's address, which its person asks for.
    case proof
    /// A registration that this caller began: its code works for that caller alone, so others have their own
    /// allowance.
    case registration(from: String)

    var name: String {
      switch self {
      case .reset: "reset"
      case .proof: "proof"
      case .registration: "registration"
      }
    }
  }

  /// E-mails to one address, for one purpose, in an hour: at once, then one each quarter of an hour.
  public static let perAddressMax: Int64 = 4
  /// E-mails to one address for registrations, by whomever, in an hour.
  public static let registrationsMax: Int64 = 12
  static let window: Int64 = 3_600_000

  private let server: MailServer
  private let sender: String
  private let clock: Clock
  private let random: RandomSource
  private let log: @Sendable (String) -> Void
  private let works: AsyncStream<Work>
  private let door: AsyncStream<Work>.Continuation
  /// When each allowance will be whole again (the generic cell rate algorithm, ITU-T I.371).
  private let allowances = Mutex<[[UInt8]: Timestamp]>([:])

  /// - Parameters:
  ///   - sender: The address that e-mails come from.
  ///   - log: Hears of e-mails that could not be sent; never an address or a text.
  public init(
    server: MailServer, sender: String, clock: Clock, random: RandomSource,
    log: @escaping @Sendable (String) -> Void
  ) {
    self.server = server
    self.sender = sender
    self.clock = clock
    self.random = random
    self.log = log
    (works, door) = AsyncStream.makeStream(
      of: Work.self, bufferingPolicy: .bufferingOldest(MailDesk.waitingMax))
  }

  /// Takes work for an address. Beyond the address's allowance nothing happens, and nobody is told.
  ///
  /// - Parameters:
  ///   - isNotice: Whether it tells the account's owner what was done to it. Such are outside of the allowance: who
  ///     takes an account over could use it up before, so that nobody hears of it.
  ///   - purpose: Whose allowance it is taken from.
  /// - Throws: `Refusal` `storage_unavailable` where too much waits.
  public func submit(
    to address: String, isNotice: Bool = false, for purpose: Purpose = .proof,
    _ work: @escaping Work
  ) throws(Refusal) {
    let shares = isNotice ? [] : MailDesk.shares(of: address.lowercased(), purpose)
    guard take(shares) else { return }
    if case .enqueued = door.yield(work) { return }
    giveBack(shares)
    throw Refusal(.storageUnavailable, "Too many e-mails wait.", retryAfterSeconds: 30)
  }

  /// Sends what is asked for, one after the other, until the task is cancelled.
  public func run() async {
    for await work in works {
      do {
        if let mail = try await work() { try await deliver(mail) }
      } catch is CancellationError {
        return
      } catch {
        log("an e-mail was not sent: \(error)")
      }
    }
  }

  /// Three attempts: what the server puts off at first it may take a moment later. What it refuses for good must not
  /// hold up the e-mails of others, and a sign-in that it refuses is not to be repeated: mail providers lock accounts for
  /// that.
  private func deliver(_ mail: Mail) async throws {
    let outgoing = outgoing(mail)
    for pause in [2, 8] {
      do {
        return try await MailTransfer.send(outgoing, through: server)
      } catch is TransferError {
        try await Task.sleep(for: .seconds(pause))
      }
    }
    try await MailTransfer.send(outgoing, through: server)
  }

  /// Hands one e-mail to the server in one attempt, beside what waits here: for whoever sees to repeats.
  /// - Throws: `MailRefused` where the server will not take it, or us; `TransferError` where it may later.
  public func send(_ mail: Mail) async throws {
    try await MailTransfer.send(outgoing(mail), through: server)
  }

  private func outgoing(_ mail: Mail) -> OutgoingMail {
    OutgoingMail(sender: sender, recipient: mail.recipient, message: message(of: mail))
  }

  /// The message as RFC 5322 has it.
  private func message(of mail: Mail) -> [UInt8] {
    let domain = sender.split(separator: "@").last.map(String.init) ?? "waypost"
    let mark = mail.mark ?? Mail.Mark(name: BytesText.hex(random.bytes(16)), date: clock.now)
    let lines = [
      "From: Waypost <\(sender)>", "To: <\(mail.recipient)>", "Subject: \(mail.subject)",
      "Date: \(MailDesk.date(mark.date))", "Message-ID: <\(mark.name)@\(domain)>",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit",
      "Auto-Submitted: auto-generated", "",
    ]
    let body = mail.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return Array((lines + body).joined(separator: "\r\n").utf8) + [0x0D, 0x0A]
  }

  /// A date as RFC 5322 section 3.3 has it.
  static func date(_ moment: Timestamp) -> String {
    let days = (moment.seconds - (moment.seconds % 86_400 + 86_400) % 86_400) / 86_400
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int((days % 7 + 7) % 7)]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    let text = moment.rfc3339
    let parts = text.prefix(10).split(separator: "-")
    let month = months[(Int(parts[1]) ?? 1) - 1]
    return "\(weekday), \(parts[2]) \(month) \(parts[0]) \(text.dropFirst(11).prefix(8)) +0000"
  }

  /// One e-mail's share of an allowance.
  private struct Share {
    /// A hash: what is remembered of an address must not be one.
    let name: [UInt8]
    /// For how long it is taken, in milliseconds.
    let cost: Int64

    init(_ name: String, max: Int64) {
      self.name = Digest.sha256(Array(name.utf8))
      cost = MailDesk.window / max
    }
  }

  private static func shares(of address: String, _ purpose: Purpose) -> [Share] {
    let name = purpose.name + " " + address
    guard case .registration(let caller) = purpose else {
      return [Share(name, max: perAddressMax)]
    }
    return [
      Share(name + " " + caller, max: perAddressMax), Share(name, max: registrationsMax),
    ]
  }

  /// Takes all of them or none: what is not sent uses nothing up.
  private func take(_ shares: [Share]) -> Bool {
    let now = clock.now
    return allowances.withLock { allowances in
      if allowances.count >= 50_000 { allowances = allowances.filter { $0.value > now } }
      guard shares.isEmpty || allowances.count < 100_000 else { return false }
      let next = shares.map { max(allowances[$0.name] ?? now, now) + $0.cost }
      guard next.allSatisfy({ $0 - now <= MailDesk.window }) else { return false }
      for (share, whole) in zip(shares, next) { allowances[share.name] = whole }
      return true
    }
  }

  private func giveBack(_ shares: [Share]) {
    allowances.withLock { allowances in
      for share in shares {
        if let whole = allowances[share.name] { allowances[share.name] = whole + -share.cost }
      }
    }
  }
}
