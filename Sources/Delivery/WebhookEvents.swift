/// The types of events that webhooks carry.
public enum WebhookEvents {
  /// Every type that an endpoint may choose (specification core, 9.1).
  public static let types: [String] = [
    "session.started", "session.paused", "session.resumed", "session.completed", "session.failed",
    "session.expiring", "session.expired", "session.extended", "tokens.consumed",
    "tokens.depleted", "tokens.low", "provider.available", "provider.unavailable",
    "user.deprovisioned", disabled,
  ]
  /// Waypost's own: one of the provider's endpoints was disabled; sent to the others.
  public static let disabled = "webhook.disabled"
  /// Waypost's own: what `test` sends, to its endpoint alone, whatever that has chosen.
  public static let test = "webhook.test"
  /// A body stays below so many bytes.
  public static let bodyByteCountMax = 20_000

  /// Whether the user's own stream carries the type.
  static func isForUsers(_ type: String) -> Bool {
    type.hasPrefix("session.") || type.hasPrefix("tokens.") || type.hasPrefix(OwnerNotice.prefix)
  }
}

/// How the log keeps what a receiver answered.
enum AnswerExcerpt {
  /// Bytes of an answer that the log keeps.
  static let byteCountMax = 1_024

  /// The beginning of an answer as one line of text, without what looks like a secret of ours.
  static func text(_ bytes: [UInt8]) -> String {
    var text = String(decoding: bytes.prefix(byteCountMax), as: UTF8.self)
    // A bad byte decodes to three: the limit holds for the text too.
    while text.utf8.count > byteCountMax { text.removeLast() }
    let scalars = text.unicodeScalars.map { scalar -> Unicode.Scalar in
      scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? " " : scalar
    }
    var line = ""
    line.unicodeScalars.append(contentsOf: scalars)
    for prefix in ["whsec_", "whsk_", "wpk_", "wpu_", "wps_", "wpc_"] {
      line = masked(line, prefix)
    }
    return line
  }

  private static func masked(_ text: String, _ prefix: String) -> String {
    let parts = text.split(separator: prefix, omittingEmptySubsequences: false)
    guard let first = parts.first, parts.count > 1 else { return text }
    let rest = parts.dropFirst().map { part in
      part.drop { $0.isLetter || $0.isNumber || "+/=-_".contains($0) }
    }
    return ([first] + rest).joined(separator: prefix + "[masked]")
  }
}
