internal import CCurl
internal import Dispatch

/// A server that takes e-mail (RFC 5321).
public struct MailServer: Sendable {
  /// `smtp://host:port` or `smtps://host:port`.
  public let url: String
  /// The user, or nil where the server asks for none.
  public let user: String?
  /// The user's password.
  public let password: String?
  /// Whether the connection must be encrypted by STARTTLS before anything is said.
  public let needsTLS: Bool

  /// A server.
  public init(url: String, user: String?, password: String?, needsTLS: Bool) {
    self.url = url
    self.user = user
    self.password = password
    self.needsTLS = needsTLS
  }
}

/// One e-mail, ready to be sent.
public struct OutgoingMail: Sendable {
  /// The sender's address.
  public let sender: String
  /// The recipient's address.
  public let recipient: String
  /// Headers and text with CRLF at the ends of lines.
  public let message: [UInt8]

  /// An e-mail.
  public init(sender: String, recipient: String, message: [UInt8]) {
    self.sender = sender
    self.recipient = recipient
    self.message = message
  }
}

/// The server says that it will not, now or later: a reply of 500 to 599 (RFC 5321 section 4.2.1).
public struct MailRefused: Error, Equatable, CustomStringConvertible {
  /// What the reply was to.
  public enum Subject: Sendable {
    /// Our connection, our sign-in or our sender's address (MAIL): nothing goes out until an operator has seen to it.
    case us
    /// The recipient or the message (RCPT, DATA). Many a server says here, too, what it thinks of us: that it relays
    /// nothing, that it does not know the sender.
    case mail
  }

  /// The reply's code.
  public let reply: Int
  /// What it was to.
  public let subject: Subject

  /// A refusal by that reply.
  public init(reply: Int, of subject: Subject) {
    self.reply = reply
    self.subject = subject
  }

  /// A line for the log, without an address.
  public var description: String {
    "the mail server refuses \(subject == .us ? "us" : "the e-mail"), \(reply)"
  }
}

/// E-mail through libcurl, one after the other on a thread of its own.
public enum MailTransfer {
  /// Seconds that one e-mail may take.
  public static let totalSeconds = 30

  private static let queue = DispatchQueue(label: "waypost.mail")

  /// Hands one e-mail to the server, which then has it.
  /// - Throws: `MailRefused`, or `TransferError` where it may go better a moment later: there was no connection, it broke,
  ///   or the server put us off (400 to 499).
  public static func send(_ mail: OutgoingMail, through server: MailServer) async throws {
    let end = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: perform(mail, server)) }
    }
    switch end.outcome {
    case CURLE_OK: return
    case CURLE_OPERATION_TIMEDOUT: throw TransferError.timedOut
    case _ where (500...599).contains(end.reply):
      throw MailRefused(reply: end.reply, of: end.subject)
    default: throw TransferError.connection(String(cString: curl_easy_strerror(end.outcome)))
    }
  }

  /// How it ended.
  private struct End {
    var outcome = CURLE_FAILED_INIT
    /// The server's last reply.
    var reply = 0
    /// Whether the server has taken us and our sender.
    var isPastSender = false

    /// What the reply was to.
    var subject: MailRefused.Subject {
      // 530 is the answer to all who have not signed in (RFC 4954) or do not encrypt (RFC 3207).
      isPastSender && reply != 530 ? .mail : .us
    }
  }

  private static func perform(_ mail: OutgoingMail, _ server: MailServer) -> End {
    ccurl_start()
    guard let handle = curl_easy_init() else { return End() }
    let talk = Talk()
    // The end of the handle says QUIT, which `talk` hears.
    defer { withExtendedLifetime(talk) { curl_easy_cleanup(handle) } }
    let isSMTPS = server.url.hasPrefix("smtps://")
    _ = ccurl_set_text(handle, CURLOPT_URL, server.url)
    _ = ccurl_set_text(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps")
    _ = ccurl_set_text(handle, CURLOPT_PROXY, "")
    _ = ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    _ = ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT, 10)
    _ = ccurl_set_long(handle, CURLOPT_TIMEOUT, totalSeconds)
    if server.needsTLS, !isSMTPS {
      _ = ccurl_set_long(handle, CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue))
    }
    if let user = server.user { _ = ccurl_set_text(handle, CURLOPT_USERNAME, user) }
    if let password = server.password { _ = ccurl_set_text(handle, CURLOPT_PASSWORD, password) }
    _ = ccurl_set_text(handle, CURLOPT_MAIL_FROM, "<\(mail.sender)>")
    let recipients = curl_slist_append(nil, "<\(mail.recipient)>")
    defer { curl_slist_free_all(recipients) }
    _ = ccurl_set_recipients(handle, recipients)
    _ = ccurl_set_long(handle, CURLOPT_UPLOAD, 1)
    let source = MessageSource(mail.message)
    // Unretained is sound: `source` lives until the transfer, which runs here, has ended.
    _ = ccurl_set_source(
      handle,
      { buffer, size, count, context in
        guard let buffer, let context else { return 0 }
        let source = Unmanaged<MessageSource>.fromOpaque(context).takeUnretainedValue()
        return source.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
      }, Unmanaged.passUnretained(source).toOpaque())
    // As above, until the handle has gone.
    _ = ccurl_set_trace(
      handle,
      { _, kind, bytes, count, context in
        guard kind == CURLINFO_HEADER_OUT, let bytes, let context else { return 0 }
        let talk = Unmanaged<Talk>.fromOpaque(context).takeUnretainedValue()
        talk.hear(UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
      }, Unmanaged.passUnretained(talk).toOpaque())
    let outcome = withExtendedLifetime(source) { curl_easy_perform(handle) }
    return End(
      outcome: outcome, reply: ccurl_status(handle), isPastSender: talk.isPastSender)
  }
}

/// How far the talk with a server has come; used by one thread alone. Nothing of it is kept: there are passwords in it.
private final class Talk {
  /// Whether the server has taken us and our sender: the recipient comes right after.
  private(set) var isPastSender = false

  /// Hears a command of ours.
  func hear(_ command: UnsafeRawBufferPointer) {
    // The colon is in no base64, which a sign-in consists of.
    if command.starts(with: "RCPT TO:".utf8) { isPastSender = true }
  }
}

/// The bytes of a message while curl takes them; used by one thread alone.
private final class MessageSource {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let part = bytes[place...].prefix(buffer.count)
    buffer.copyBytes(from: part)
    place += part.count
    return part.count
  }
}
