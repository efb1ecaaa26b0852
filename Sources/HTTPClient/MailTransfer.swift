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

/// The server will not take the e-mail, now or later: a reply of 500 to 599 (RFC 5321 section 4.2.1) to the e-mail
/// itself. Whom the server does not greet, or does not let in, it may let in once an operator has seen to it.
public struct MailRefused: Error, Equatable {
  /// The reply's code.
  public let reply: Int

  /// A refusal by that reply.
  public init(reply: Int) { self.reply = reply }
}

/// E-mail through libcurl, one after the other on a thread of its own.
public enum MailTransfer {
  /// Seconds that one e-mail may take.
  public static let totalSeconds = 30

  private static let queue = DispatchQueue(label: "waypost.mail")

  /// Hands one e-mail to the server, which then has it.
  /// - Throws: `MailRefused`, or `TransferError` where it may go better a moment later.
  public static func send(_ mail: OutgoingMail, through server: MailServer) async throws {
    let end = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: perform(mail, server)) }
    }
    switch end.outcome {
    case CURLE_OK: return
    case _ where end.isRefusal: throw MailRefused(reply: end.reply)
    case CURLE_OPERATION_TIMEDOUT: throw TransferError.timedOut
    default: throw TransferError.connection(String(cString: curl_easy_strerror(end.outcome)))
    }
  }

  /// How it ended.
  private struct End {
    var outcome = CURLE_FAILED_INIT
    /// The server's last reply.
    var reply = 0
    /// Whether the message itself was on its way.
    var isBegun = false

    /// Whether the reply says that this e-mail will never be taken.
    var isRefusal: Bool {
      // curl ends with this where MAIL, RCPT or DATA are refused; what is refused before is our connection.
      let isOfMail = isBegun || outcome == CURLE_SEND_ERROR
      // 530 is the answer to all who have not signed in (RFC 4954) or do not encrypt (RFC 3207).
      return isOfMail && (500...599).contains(reply) && reply != 530
    }
  }

  private static func perform(_ mail: OutgoingMail, _ server: MailServer) -> End {
    ccurl_start()
    guard let handle = curl_easy_init() else { return End() }
    defer { curl_easy_cleanup(handle) }
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
    let outcome = withExtendedLifetime(source) { curl_easy_perform(handle) }
    return End(outcome: outcome, reply: ccurl_status(handle), isBegun: source.isBegun)
  }
}

/// The bytes of a message while curl takes them; used by one thread alone.
private final class MessageSource {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isBegun: Bool { place > 0 }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let part = bytes[place...].prefix(buffer.count)
    buffer.copyBytes(from: part)
    place += part.count
    return part.count
  }
}
