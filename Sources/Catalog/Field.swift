internal import Primitives

/// One field of a service: its type and limits, and what search may do with it.
///
/// The table `Field.all` is the only list of fields: validation, filters, facets and the schema
/// end point read it.
public struct Field: Sendable {
  /// What a field's value may be.
  public enum Kind: Sendable, Equatable {
    /// One line of text, at most so many characters, without control characters.
    case text(max: Int)
    /// Text of any lines, at most so many characters.
    case prose(max: Int)
    /// An https link of at most 2,000 characters.
    case url
    /// One of these words.
    case choice([String])
    /// Texts of one line, at most so many of at most so many characters.
    case list(countMax: Int, max: Int)
    /// Words of these.
    case choices([String])
    /// A whole number from 0 up to the bound.
    case integer(max: Int64)
    /// A number from 0 up to the bound.
    case number(max: Double)
    /// true or false.
    case bool
    /// `YYYY-MM-DD`.
    case date
    /// An object of names to true or false; a name that is absent is unknown.
    case flags
    /// An object or array kept as it is, at most so many bytes.
    case opaque(byteMax: Int)
  }

  /// The JSON name.
  public let name: String
  /// Type and limits.
  public let kind: Kind
  /// Whether a filter may name it.
  public let isFilterable: Bool
  /// Whether it can be a facet.
  public let isFacet: Bool
  /// One line for people.
  public let help: String

  init(_ name: String, _ kind: Kind, filter: Bool = false, facet: Bool = false, _ help: String) {
    self.name = name
    self.kind = kind
    isFilterable = filter || facet
    isFacet = facet
    self.help = help
  }

  /// Whether the value is texts of one line.
  var isOneLine: Bool {
    switch kind {
    case .text, .list: true
    default: false
    }
  }

  /// The kinds of services.
  public static let kinds = ["api", "model", "app", "tool"]
  /// What goes in and comes out.
  public static let modalities = ["text", "image", "audio", "video", "file", "embedding"]
  /// The life of a listing.
  public static let statuses = ["draft", "active", "maintenance", "deprecated", "removed"]

  /// Every field of a service beside `id`, provider, `offers` and `extra`, in the order of output.
  public static let all: [Field] = [
    Field("name", .text(max: 200), filter: true, "what people call it"),
    Field("kind", .choice(kinds), facet: true, "api, model, app or tool"),
    Field("tagline", .text(max: 400), "one sentence"),
    Field("description", .prose(max: 20_000), "text or Markdown, shown as text"),
    Field("does", .text(max: 400), "what it does"),
    Field("useWhen", .text(max: 400), "when to use it"),
    Field("limitations", .text(max: 400), "what it does not do"),
    Field("draftedFields", .list(countMax: 20, max: 80), "fields whose text was drafted by us"),
    Field("categories", .list(countMax: 20, max: 80), facet: true, "subjects, main one first"),
    Field("tags", .list(countMax: 50, max: 80), facet: true, "free words"),
    Field("appUrl", .url, "where a session goes"),
    Field("appId", .text(max: 128), "the audience of a session's launch token"),
    Field("redirectUris", .list(countMax: 10, max: 2_000), "addresses a session may be sent to"),
    Field("appOrigin", .url, "the origin of a browser-only app that redeems launch tokens itself"),
    Field("websiteUrl", .url, "home page"),
    Field("docsUrl", .url, "documentation"),
    Field("logoUrl", .url, "logo"),
    Field("supportUrl", .url, "support"),
    Field("modelFamily", .text(max: 80), facet: true, "family of a model"),
    Field("baseModel", .text(max: 80), facet: true, "the model behind it"),
    Field("contextWindow", .integer(max: 1_000_000_000), facet: true, "tokens in and out"),
    Field("maxOutputTokens", .integer(max: 1_000_000_000), facet: true, "tokens out"),
    Field("inputModalities", .choices(modalities), facet: true, "what it takes"),
    Field("outputModalities", .choices(modalities), facet: true, "what it gives"),
    Field("features", .flags, facet: true, "abilities: functionCalling, vision, jsonMode, ..."),
    Field("apiCompatibility", .list(countMax: 20, max: 80), facet: true, "interfaces it speaks"),
    Field("authType", .text(max: 80), facet: true, "how a caller signs in"),
    Field("https", .bool, facet: true, "served over TLS"),
    Field("cors", .text(max: 20), facet: true, "callable from a browser"),
    Field("compliance", .opaque(byteMax: 16_384), facet: true, "schemes with state and proof"),
    Field("regions", .list(countMax: 60, max: 10), facet: true, "where it is served"),
    Field("dataCenters", .list(countMax: 60, max: 80), facet: true, "where it is hosted"),
    Field("country", .text(max: 10), facet: true, "the provider's country"),
    Field("availability", .opaque(byteMax: 8_192), "schedule, time zone, maintenance"),
    Field("trial", .opaque(byteMax: 4_096), "offered, minutes, capTokens, conditions"),
    Field("license", .text(max: 80), facet: true, "licence of the software"),
    Field("openWeights", .bool, facet: true, "weights can be had"),
    Field("releasedAt", .date, filter: true, "first release"),
    Field("lastUpdatedAt", .date, filter: true, "last change at the source"),
    Field("status", .choice(statuses), facet: true, "life of the listing"),
    Field("rating", .number(max: 5), facet: true, "1 to 5"),
    Field("reviewCount", .integer(max: 1_000_000_000_000), facet: true, "reviews"),
    Field(
      "usage", .opaque(byteMax: 2_048), "tokensServed, activeUsers, monthlyRequests, stars, runs"),
    Field("metrics", .opaque(byteMax: 8_192), "measured or declared figures with provenance"),
    Field("source", .text(max: 400), facet: true, "where the record comes from"),
    Field("sourceLicense", .text(max: 200), "licence of the source"),
  ]

  /// A field by its name.
  public static let named: [String: Field] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })
}

/// Checks of single values against a field's kind.
enum FieldCheck {
  /// nil where the value is allowed, else why not, in a few words.
  static func reason(_ value: JSON, for kind: Field.Kind) -> String? {
    switch kind {
    case .text(let max), .prose(let max): text(value, max: max)
    case .url: url(value)
    case .choice(let words):
      words.contains(value.string ?? "") ? nil : "must be one of " + words.joined(separator: ", ")
    case .list(let countMax, let max): list(value, countMax: countMax, max: max, words: nil)
    case .choices(let words): list(value, countMax: words.count, max: 80, words: words)
    case .integer(let max):
      if case .int(let number) = value, (0...max).contains(number) {
        nil
      } else {
        "must be a whole number from 0 to \(max)"
      }
    case .number(let max):
      if let number = value.double, (0...max).contains(number) {
        nil
      } else {
        "must be a number from 0 to \(max)"
      }
    case .bool: value.bool == nil ? "must be true or false" : nil
    case .date:
      value.string.flatMap(Timestamp.parse(date:)) == nil ? "must be a date, YYYY-MM-DD" : nil
    case .flags: flags(value)
    case .opaque(let byteMax):
      switch value {
      case .object, .array: value.bytes.count <= byteMax ? nil : "must be at most \(byteMax) bytes"
      default: "must be an object or an array"
      }
    }
  }

  /// Whether a value has arrays or objects inside each other beyond a count of levels.
  static func isDeeper(_ value: JSON, than levels: Int) -> Bool {
    switch value {
    case .array(let values):
      levels == 0 || values.contains { isDeeper($0, than: levels - 1) }
    case .object(let object):
      levels == 0 || object.members.contains { isDeeper($0.value, than: levels - 1) }
    default: false
    }
  }

  private static func text(_ value: JSON, max: Int) -> String? {
    guard let text = value.string else { return "must be text" }
    // Bytes first: counting characters of a huge text is not free.
    guard text.utf8.count <= max * 4, text.unicodeScalars.count <= max else {
      return "must be at most \(max) characters"
    }
    return text.unicodeScalars.contains { $0.value == 0 } ? "must not hold NUL" : nil
  }

  static func url(_ value: JSON) -> String? {
    guard let text = value.string, text.utf8.count <= 2_000, text.hasPrefix("https://"),
      text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), text.utf8.count > 10
    else { return "must be an https link of at most 2000 characters" }
    return nil
  }

  /// An address that a session may be sent to: a link, or a place on the developer's own machine (RFC 8252,
  /// 7.3), which only a server in development sends anybody to.
  static func redirect(_ value: JSON) -> String? {
    let isLocal = (value.string).map { RedirectAddress.isLoopback($0) } ?? false
    guard isLocal else { return url(value) }
    return url(.string("https://" + (value.string ?? "").dropFirst("http://".count)))
  }

  private static func list(_ value: JSON, countMax: Int, max: Int, words: [String]?) -> String? {
    guard let values = value.array else { return "must be a list of texts" }
    guard values.count <= countMax else { return "must have at most \(countMax) entries" }
    for element in values {
      if let reason = text(element, max: max) { return "each entry " + reason }
      if element.string?.isEmpty == true { return "no entry may be empty" }
      if let words, !words.contains(element.string ?? "") {
        return "must hold only " + words.joined(separator: ", ")
      }
    }
    return nil
  }

  private static func flags(_ value: JSON) -> String? {
    guard let object = value.object, object.members.count <= 60 else {
      return "must be an object of at most 60 names to true or false"
    }
    for member in object.members {
      guard member.value.bool != nil, member.key.utf8.count <= 40, !member.key.isEmpty else {
        return "must be an object of names to true or false"
      }
    }
    return nil
  }
}

/// Addresses that sessions are sent to.
public enum RedirectAddress {
  /// Whether a link is plain HTTP to the machine itself, at any port.
  public static func isLoopback(_ link: String) -> Bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"].contains { host in
      guard link.hasPrefix(host) else { return false }
      let rest = link.dropFirst(host.count).utf8
      // The host must end here: `http://localhost.example.com` is another one.
      return rest.isEmpty || rest.first == UInt8(ascii: "/") || isPort(rest)
    }
  }

  private static func isPort(_ rest: Substring.UTF8View) -> Bool {
    guard rest.first == UInt8(ascii: ":") else { return false }
    let port = rest.dropFirst().prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    return (1...5).contains(port.count) && port.allSatisfy { (0x30...0x39).contains($0) }
  }

  /// The origin of a link as browsers send it: scheme, host and port in lower case; nil for what is no link.
  public static func origin(of link: String) -> String? {
    let parts = link.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[0] == "https:" || parts[0] == "http:", parts[1].isEmpty else {
      return nil
    }
    let host = parts[2].prefix { $0 != "?" && $0 != "#" }.lowercased()
    guard !host.isEmpty, !host.contains("@") else { return nil }
    let isDefault = parts[0] == "https:" && host.hasSuffix(":443")
    return parts[0] + "//" + (isDefault ? String(host.dropLast(4)) : host)
  }
}
