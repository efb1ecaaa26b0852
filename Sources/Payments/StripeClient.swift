public import HTTPClient
public import Primitives

/// Calls to the payment processor's HTTP API, in the form that Stripe has given it.
public struct StripeClient: Sendable {
  /// The version of the API that requests name and answers have (docs.stripe.com/api/versioning).
  public static let version = "2026-10-28.endive"

  /// How a request goes out, and its whole answer; tests put their own here.
  /// - Throws: `TransferError`.
  public typealias Send = @Sendable (OutboundRequest) async throws -> (status: Int, body: [UInt8])

  /// What became of a call.
  enum Outcome: Equatable {
    /// Done; the object.
    case done(JSON)
    /// Perhaps done, perhaps not, or not now. The same key may be sent again.
    case unavailable(String)
    /// Failed for good under this key: the processor repeats that answer for a day (docs.stripe.com/api/idempotent_requests).
    case spent(String)
    /// Refused: asking again changes nothing.
    case refused(String)
  }

  private let url: String
  private let key: String
  let webhookSecret: String
  private let send: Send

  /// - Parameters:
  ///   - url: The base, without a slash at the end; https, or http on loopback.
  ///   - key: The secret key; never logged, never stored.
  ///   - webhookSecret: What events are signed with.
  /// - Throws: `Refusal` `validation_failed` where the key would go over the network in clear, or a secret is missing.
  public init(
    url: String, key: String, webhookSecret: String, send: @escaping Send = StripeClient.transfer
  ) throws(Refusal) {
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    let isLoopback = ["127.0.0.1", "localhost", "[::1]"].contains { host in
      base == "http://" + host || base.hasPrefix("http://" + host + ":")
    }
    guard base.hasPrefix("https://") || isLoopback else {
      throw Refusal(.validationFailed, "--stripe-url must be https, or http on loopback.")
    }
    let isPrintable = (key + webhookSecret).utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard !key.isEmpty, !webhookSecret.isEmpty, isPrintable else {
      throw Refusal(
        .validationFailed,
        "WAYPOST_STRIPE_KEY and WAYPOST_STRIPE_WEBHOOK_SECRET belong together: set both or neither."
      )
    }
    self.url = base
    self.key = key
    self.webhookSecret = webhookSecret
    self.send = send
  }

  /// Sends a form.
  func post(_ path: String, _ form: [(String, String)], idempotencyKey: String) async -> Outcome {
    var request = OutboundRequest(
      url: url + path,
      headers: [
        (name: "Authorization", value: "Bearer " + key),
        (name: "Content-Type", value: "application/x-www-form-urlencoded"),
        (name: "Idempotency-Key", value: idempotencyKey),
        (name: "Stripe-Version", value: StripeClient.version),
      ], body: Array(StripeClient.encode(form).utf8))
    request.idleSeconds = 15
    request.totalSeconds = 20
    request.byteCountMax = 1_048_576
    do {
      let answer = try await send(request)
      return StripeClient.outcome(status: answer.status, body: answer.body)
    } catch let error as TransferError {
      return .unavailable("no answer: \(error)")
    } catch {
      return .unavailable("the call was given up")
    }
  }

  /// What an answer means. The reason is for logs: the status and the processor's own code, never its words.
  static func outcome(status: Int, body: [UInt8]) -> Outcome {
    let document = try? JSON.parse(body)
    let code = document?["error"]?["code"]?.string ?? document?["error"]?["type"]?.string ?? ""
    let safe = code.utf8.allSatisfy { $0 == 0x5F || (0x61...0x7A).contains($0) }
    let reason = "status \(status)" + (safe && !code.isEmpty ? ", \(code.prefix(64))" : "")
    switch status {
    case 200..<300: return document.map(Outcome.done) ?? .unavailable("an answer that is no JSON")
    // 409: the first call with this key still runs. 429: it was not looked at.
    case 409, 429: return .unavailable(reason)
    case 402, 500...599: return .spent(reason)
    // The key or its rights: an operator mends that, and the same call goes through.
    case 401, 403: return .unavailable(reason)
    case 400...499: return .refused(reason)
    default: return .unavailable(reason)
    }
  }

  /// application/x-www-form-urlencoded: unreserved bytes (RFC 3986) as they are, all others as %XX.
  static func encode(_ form: [(String, String)]) -> String {
    form.map { escape($0.0) + "=" + escape($0.1) }.joined(separator: "&")
  }

  private static func escape(_ text: String) -> String {
    var output = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
        output.unicodeScalars.append(Unicode.Scalar(byte))
      default: output += "%" + BytesText.hex([byte]).uppercased()
      }
    }
    return output
  }

  /// A request over the network.
  public static let transfer: Send = { request in
    var status = 0
    var body: [UInt8] = []
    for try await part in Transfer.post(request) {
      switch part {
      case .status(let code): status = code
      case .bytes(let more): body += more
      }
    }
    return (status, body)
  }
}
