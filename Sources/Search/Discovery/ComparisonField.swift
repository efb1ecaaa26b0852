internal import Catalog
internal import Primitives

/// One row of a comparison: how it is read from a stored hit, and which of two values is the better one.
struct ComparisonField: Sendable {
  /// What makes one value better than another.
  enum Direction: String, Sendable {
    case higher, lower
    /// true before false.
    case yes
    /// A set that holds all of the other and more.
    case more
    /// Earlier in the life of a listing: active, maintenance, deprecated.
    case status
    /// A difference is only a difference.
    case none
  }

  let name: String
  let help: String
  let direction: Direction
  /// The value, or nil where the record does not say.
  let value: @Sendable (JSON) -> JSON?

  /// The rows for some services, in the catalog's order: every field, and each flag that one of them names.
  static func all(for services: [JSON]) -> [ComparisonField] {
    var rows: [ComparisonField] = [
      ComparisonField(name: "provider", help: "who offers it", direction: .none) {
        $0["provider"]?["name"]
      },
      ComparisonField(name: "verified", help: "the provider is verified", direction: .yes) {
        $0["provider"]?["verified"]
      },
    ]
    for field in Field.all where !hidden.contains(field.name) {
      switch field.name {
      case "features": rows += flags(field, services)
      case "compliance": rows += schemes(services)
      case "metrics": rows += metrics
      case "usage": rows += usage
      case "trial": rows += trial
      default:
        rows.append(
          ComparisonField(
            name: field.name, help: field.help, direction: directions[field.name] ?? .none
          ) { $0[field.name].flatMap { $0 == .null ? nil : $0 } })
      }
    }
    return rows
  }

  /// The members of an open field of one kind, at most so many rows.
  private static let flagMax = 60
  private static let hidden: Set<String> = ["redirectUris", "draftedFields"]

  private static let directions: [String: Direction] = [
    "contextWindow": .higher, "maxOutputTokens": .higher, "rating": .higher,
    "reviewCount": .higher, "inputModalities": .more, "outputModalities": .more,
    "apiCompatibility": .more, "regions": .more, "dataCenters": .more, "https": .yes,
    "openWeights": .yes, "status": .status,
  ]

  private static func flags(_ field: Field, _ services: [JSON]) -> [ComparisonField] {
    var names: Set<String> = []
    for service in services { names.formUnion(service[field.name]?.object?.keys ?? []) }
    return names.sorted().prefix(flagMax).map { name in
      ComparisonField(
        name: "\(field.name).\(name)", help: "ability: \(name)", direction: .yes
      ) { service in service[field.name]?[name]?.bool.map(JSON.bool) }
    }
  }

  private static func schemes(_ services: [JSON]) -> [ComparisonField] {
    var names: Set<String> = []
    for service in services {
      names.formUnion((service["compliance"]?.array ?? []).compactMap { $0["scheme"]?.string })
    }
    return names.sorted().prefix(flagMax).map { name in
      ComparisonField(
        name: "compliance.\(name)", help: "scheme: \(name)", direction: .yes
      ) { service in
        let scheme = service["compliance"]?.array?.first { $0["scheme"]?.string == name }
        switch scheme?["state"]?.string {
        case "yes": return true
        case "no": return false
        default: return nil
        }
      }
    }
  }

  private static let metrics = [
    ("latencyP50", "latencyP50Ms", "median latency, ms", Direction.lower),
    ("latencyP95", "latencyP95Ms", "p95 latency, ms", .lower),
    ("latencyP99", "latencyP99Ms", "p99 latency, ms", .lower),
    ("timeToFirstToken", "timeToFirstTokenMs", "time to first token, ms", .lower),
    ("tokensPerSecond", "tokensPerSecond", "tokens a second", .higher),
    ("uptime7d", "uptime7d", "uptime of 7 days, percent", .higher),
    ("uptime", "uptime30d", "uptime of 30 days, percent", .higher),
    ("errorRate", "errorRate", "share of failed calls", .lower),
  ].map { name, key, help, direction in
    ComparisonField(name: name, help: help, direction: direction) { service in
      let metric = service["metrics"]?.array?.first { $0["name"]?.string == key }
      return metric?["value"].flatMap { $0.double == nil ? nil : $0 }
    }
  }

  private static let usage = [
    "tokensServed", "activeUsers", "monthlyRequests", "stars", "runs",
  ].map { name in
    ComparisonField(name: name, help: "usage: \(name)", direction: .higher) { service in
      service["usage"]?[name].flatMap { $0.double == nil ? nil : $0 }
    }
  }

  private static let trial = [
    ComparisonField(name: "trialOffered", help: "the provider offers a trial", direction: .yes) {
      $0["trial"]?["offered"]?.bool.map(JSON.bool)
    },
    ComparisonField(name: "trialMinutes", help: "minutes of a trial", direction: .higher) {
      $0["trial"]?["minutes"]?.int.map(JSON.int)
    },
    ComparisonField(name: "trialCapTokens", help: "tokens of a trial", direction: .higher) {
      $0["trial"]?["capTokens"]?.int.map(JSON.int)
    },
  ]

  /// Whether the left value is better; nil where the field has no better, or the two cannot be ordered.
  func isBetter(_ left: JSON, _ right: JSON) -> Bool? {
    switch direction {
    case .none: return nil
    case .higher: return numbers(left, right).map { $0 > $1 }
    case .lower: return numbers(left, right).map { $0 < $1 }
    case .yes:
      guard let a = left.bool, let b = right.bool else { return nil }
      return a && !b
    case .more:
      guard let a = words(left), let b = words(right) else { return nil }
      return a.isStrictSuperset(of: b)
    case .status:
      let order = ["deprecated", "maintenance", "active"]
      guard let a = left.string.flatMap(order.firstIndex(of:)),
        let b = right.string.flatMap(order.firstIndex(of:))
      else { return nil }
      return a > b
    }
  }

  private func numbers(_ left: JSON, _ right: JSON) -> (Double, Double)? {
    guard let a = left.double, let b = right.double else { return nil }
    return (a, b)
  }

  private func words(_ value: JSON) -> Set<String>? {
    value.array.map { Set($0.compactMap { $0.string?.lowercased() }) }
  }

  /// Whether two values say the same; lists without regard to order and case.
  static func isSame(_ left: JSON, _ right: JSON) -> Bool {
    if let a = left.double, let b = right.double { return a == b }
    if let a = left.array, let b = right.array,
      (a + b).allSatisfy({ $0.string != nil })
    {
      return Set(a.map { $0.string?.lowercased() }) == Set(b.map { $0.string?.lowercased() })
    }
    return left == right
  }
}
