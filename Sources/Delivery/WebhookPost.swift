public import HTTPClient

/// One attempt as it goes out.
public struct WebhookRequest: Sendable {
  /// The receiver.
  public let url: String
  /// Names and values: the signature's three, and what the body is.
  public let headers: [(name: String, value: String)]
  /// The event, as it is signed.
  public let body: [UInt8]

  /// An attempt.
  public init(url: String, headers: [(name: String, value: String)], body: [UInt8]) {
    self.url = url
    self.headers = headers
    self.body = body
  }
}

/// What came back.
public struct WebhookAnswer: Sendable {
  /// What became of the attempt.
  public let outcome: WebhookOutcome
  /// How the answer began.
  public let body: [UInt8]

  /// An answer; tests make theirs so.
  public init(_ outcome: WebhookOutcome, body: [UInt8] = []) {
    self.outcome = outcome
    self.body = body
  }
}

/// Sends one attempt over the network.
public enum WebhookPost {
  /// Seconds that an attempt may take in all (specification core, 9.1).
  public static let secondsMax = 15

  /// Posts, follows nothing, and tells what came back within fifteen seconds.
  ///
  /// - Parameter addresses: Asked for each address that the name resolves to, at this attempt.
  public static func send(
    _ request: WebhookRequest, addresses: AddressPolicy
  ) async -> WebhookAnswer {
    var outbound = OutboundRequest(url: request.url, headers: request.headers, body: request.body)
    outbound.connectSeconds = 10
    outbound.idleSeconds = secondsMax
    outbound.totalSeconds = secondsMax
    outbound.byteCountMax = 65_536
    outbound.addresses = addresses
    let notes = TransferNotes()
    outbound.notes = notes
    var status = 0
    var body: [UInt8] = []
    var failure = WebhookOutcome.Failure.connection
    do {
      for try await part in Transfer.post(outbound) {
        switch part {
        case .status(let code): status = code
        case .bytes(let bytes): body += bytes.prefix(AnswerExcerpt.byteCountMax - body.count)
        }
        // Enough is known: a long answer, or one that never ends, is not waited for.
        if status > 0, body.count >= AnswerExcerpt.byteCountMax { break }
      }
    } catch TransferError.busy {
      return WebhookAnswer(.notSent)
    } catch TransferError.timedOut {
      failure = .timedOut
    } catch {
      if notes.isAddressRefused { failure = .addressRefused }
    }
    // With a status the receiver has spoken, whatever became of the rest.
    guard status > 0 else { return WebhookAnswer(.failed(failure)) }
    let outcome = WebhookOutcome.answered(
      status: status, retryAfterSeconds: notes.retryAfterSeconds)
    return WebhookAnswer(outcome, body: body)
  }
}
