public import Primitives

/// The kind of an endpoint's id, for `ID`.
public enum WebhookEndpointKind: Sendable {}
/// The kind of a delivery's id, for `ID`.
public enum WebhookDeliveryKind: Sendable {}
/// The kind of an id whose table the event does not say.
enum EventSubjectKind: Sendable {}

/// Where a provider wants its events.
public struct WebhookEndpoint: Sendable {
  /// Whether deliveries are made.
  public enum State: String, Sendable {
    case enabled, disabled
  }

  /// The id.
  public let id: ID<WebhookEndpointKind>
  /// Whose.
  public let providerID: String
  /// The receiver.
  public var url: String
  /// The owner's own words for it.
  public var description: String
  /// The types that are sent; every one where it is empty.
  public var types: [String]
  /// How deliveries are signed.
  public let algorithm: WebhookSecret.Algorithm
  /// Whether deliveries are made.
  public var state: State
  /// Why it is disabled.
  public var reason: DeliverySchedule.DisableReason?
  /// Since when it is disabled.
  public var disabledAt: Timestamp?
  /// Attempts that failed since the last one that did not.
  public var failures: Int
  /// Deliveries that are still to be made.
  public var pending: Int
  /// Until when the secret before the last rotation signs too.
  public var previousUntil: Timestamp?
  /// When it was made.
  public let createdAt: Timestamp
  /// When its owner last changed it.
  public var updatedAt: Timestamp
  /// The sealed secret, and the one before the last rotation.
  var sealed: [UInt8]
  var previousSealed: [UInt8]?

  /// Whether events of the type go there.
  func takes(_ type: String) -> Bool { types.isEmpty || types.contains(type) }

  /// The view that its owner gets; never the secret.
  public var json: JSONObject {
    [
      "id": .string(id.text), "url": .string(url), "description": .string(description),
      "types": .strings(types), "algorithm": .string(algorithm.rawValue),
      "enabled": .bool(state == .enabled), "disabledReason": .optional(reason?.rawValue),
      "disabledAt": .optional(disabledAt?.rfc3339), "consecutiveFailures": .number(failures),
      "pending": .number(pending), "previousSecretUntil": .optional(previousUntil?.rfc3339),
      "createdAt": .string(createdAt.rfc3339), "updatedAt": .string(updatedAt.rfc3339),
    ]
  }
}

/// One attempt as the log keeps it.
public struct WebhookAttempt: Sendable {
  /// Counts from 1, over replays too.
  public let number: Int
  /// When it was made.
  public let at: Timestamp
  /// How long it took, in milliseconds.
  public let duration: Int64
  /// The HTTP status, where there was an answer.
  public let status: Int?
  /// A word for why there was none.
  public let error: String?
  /// How the answer began, at most 1 kB.
  public let answer: String

  var json: JSON {
    [
      "number": .number(number), "at": .string(at.rfc3339), "durationMs": .int(duration),
      "status": .optional(status), "error": .optional(error), "answer": .string(answer),
    ]
  }
}

/// One event on its way to one endpoint.
public struct WebhookDelivery: Sendable {
  /// Where a delivery is.
  public enum State: String, Sendable, CaseIterable {
    /// Due now or later, unless its endpoint is disabled.
    case due
    /// The receiver has taken it.
    case delivered
    /// Given up; only a replay sends it again.
    case dead
  }

  /// The id.
  public let id: ID<WebhookDeliveryKind>
  /// The event's id, which is also `webhook-id`.
  public let eventID: String
  /// The event's type.
  public let type: String
  /// Where it is.
  public let state: State
  /// Attempts since it was made or replayed.
  public let tries: Int
  /// When the next attempt is due.
  public let nextAt: Timestamp?
  /// When it was made.
  public let createdAt: Timestamp
  /// When it was delivered or given up.
  public let finishedAt: Timestamp?
  /// Its newest attempts, oldest first.
  public var attempts: [WebhookAttempt] = []

  var json: JSONObject {
    [
      "id": .string(id.text), "eventId": .string(eventID), "type": .string(type),
      "state": .string(state.rawValue), "tries": .number(tries),
      "nextAttemptAt": .optional(nextAt?.rfc3339), "createdAt": .string(createdAt.rfc3339),
      "finishedAt": .optional(finishedAt?.rfc3339),
      "attempts": .array(attempts.map(\.json)),
    ]
  }
}

/// What an owner says about a new endpoint.
public struct WebhookDraft: Sendable {
  /// The receiver.
  public let url: String
  /// The owner's own words for it.
  public let description: String
  /// The types to send; every one where it is empty.
  public let types: [String]
  /// How to sign.
  public let algorithm: WebhookSecret.Algorithm
  /// A shared secret that the owner brings along.
  public let secret: WebhookSecret?

  /// Reads the fields of a request.
  /// - Throws: `Refusal` `validation_failed` with each field at fault.
  public static func read(_ body: JSON, under rules: WebhookRules) throws(Refusal) -> WebhookDraft {
    var reader = WebhookFields(body: body, rules: rules)
    let url = reader.url() ?? ""
    if reader.value("url") == nil { reader.fail("url", "is missing") }
    let types = reader.types() ?? []
    let description = reader.description() ?? ""
    var algorithm = WebhookSecret.Algorithm.hmac
    if let value = reader.value("algorithm") {
      if let named = value.string.flatMap(WebhookSecret.Algorithm.init(rawValue:)) {
        algorithm = named
      } else {
        reader.fail("algorithm", "must be hmac-sha256 or ed25519")
      }
    }
    var secret: WebhookSecret?
    if let value = reader.value("secret") {
      secret = value.string.flatMap { WebhookSecret(text: $0) }
      if secret == nil || algorithm != .hmac {
        reader.fail(
          "secret", "must be whsec_ and base64 of 24 to 64 bytes, and goes with hmac-sha256 only")
      }
    }
    try reader.finish()
    return WebhookDraft(
      url: url, description: description, types: types, algorithm: algorithm, secret: secret)
  }
}

/// What an owner changes of an endpoint; what is nil stays.
public struct WebhookChange: Sendable {
  /// The receiver.
  public let url: String?
  /// The owner's own words for it.
  public let description: String?
  /// The types to send.
  public let types: [String]?
  /// Whether deliveries are to be made.
  public let isEnabled: Bool?

  /// Reads the fields of a request.
  /// - Throws: `Refusal` `validation_failed` with each field at fault.
  public static func read(_ body: JSON, under rules: WebhookRules) throws(Refusal) -> WebhookChange
  {
    var reader = WebhookFields(body: body, rules: rules)
    let (url, types, description) = (reader.url(), reader.types(), reader.description())
    let isEnabled = reader.value("enabled")?.bool
    if reader.value("enabled") != nil, isEnabled == nil {
      reader.fail("enabled", "must be true or false")
    }
    try reader.finish()
    return WebhookChange(url: url, description: description, types: types, isEnabled: isEnabled)
  }
}

/// Reads the fields that a draft and a change share, and gathers what is wrong with them.
private struct WebhookFields {
  let body: JSON
  let rules: WebhookRules
  private var faults: [Refusal.Field] = []

  init(body: JSON, rules: WebhookRules) {
    self.body = body
    self.rules = rules
  }

  /// A field's value; null is as good as left out.
  func value(_ field: String) -> JSON? { body[field].flatMap { $0 == .null ? nil : $0 } }

  mutating func fail(_ field: String, _ reason: String) {
    faults.append(.init("/" + field, reason))
  }

  mutating func url() -> String? {
    guard let value = value("url") else { return nil }
    guard let url = value.string else {
      fail("url", "must be text")
      return nil
    }
    if let fault = WebhookTarget.fault(in: url, under: rules) { fail("url", fault) }
    return url
  }

  mutating func types() -> [String]? {
    guard let value = value("types") else { return nil }
    let types = (value.array ?? []).compactMap(\.string)
    guard let count = value.array?.count, types.count == count, Set(types).count == count,
      types.allSatisfy(WebhookEvents.types.contains)
    else {
      fail("types", "must be a list of " + WebhookEvents.types.joined(separator: ", "))
      return nil
    }
    return types
  }

  mutating func description() -> String? {
    guard let value = value("description") else { return nil }
    guard let text = value.string, text.unicodeScalars.count <= 200, !text.contains("\0") else {
      fail("description", "must be text of at most 200 characters")
      return nil
    }
    return text
  }

  func finish() throws(Refusal) {
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The webhook is not valid.", fields: faults)
    }
  }
}
