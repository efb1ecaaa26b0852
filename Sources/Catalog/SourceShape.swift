internal import Primitives

/// Turns a row in the shape of public catalogs (`category`, `website`, dollars per 1,000 tokens) into ours.
///
/// Facts move to their field; what has no field, or does not fit it, stays in `extra`. Nothing is invented.
enum SourceShape {
  /// Whether a row is of that shape: it says `source` and `license` and has none of our own marks.
  static func matches(_ row: JSONObject) -> Bool {
    let ours = ["categories", "sourceLicense", "offers", "websiteUrl", "providerId"]
    return row["source"] != nil && row["license"] != nil && ours.allSatisfy { row[$0] == nil }
  }

  /// The row in our shape.
  static func convert(_ row: JSONObject) -> JSONObject {
    var row = row
    for (from, to) in renamed {
      if let value = row[from], value != .null, row[to] == nil || from == "license" {
        row[to] = value
        row[from] = nil
      }
    }
    if let license = row["softwareLicense"] {
      row["license"] = license
      row["softwareLicense"] = nil
    }
    row["categories"] = list(row["category"])
    row["category"] = nil
    features(&row)
    usage(&row)
    metrics(&row)
    status(&row)
    offers(&row)
    for field in Field.all { fit(&row, field.name, field.kind) }
    return row
  }

  private static let renamed = [
    ("license", "sourceLicense"), ("website", "websiteUrl"), ("releaseDate", "releasedAt"),
    ("lastUpdated", "lastUpdatedAt"),
  ]

  private static func list(_ value: JSON?) -> JSON {
    switch value {
    case .string(let text)?: [.string(text)]
    case .array(let values)?: .array(values)
    default: []
    }
  }

  /// Keeps what a field allows; the rest of the value stays in `extra` under its name.
  private static func fit(_ row: inout JSONObject, _ name: String, _ kind: Field.Kind) {
    guard let value = row[name], FieldCheck.reason(value, for: kind) != nil else { return }
    switch kind {
    case .choice: return  // refused with its reason, not hidden
    case .text where name == "name": return  // as above
    case .list(let countMax, let max):
      let values = (value.array ?? []).filter {
        let count = $0.string?.unicodeScalars.count ?? 0
        return (1...max).contains(count)
      }
      row[name] = .array(Array(values.prefix(countMax)))
    case .choices(let words):
      let mapped = (value.array ?? []).compactMap(\.string).map { $0 == "pdf" ? "file" : $0 }
      var kept: [String] = []
      for word in mapped where words.contains(word) && !kept.contains(word) { kept.append(word) }
      row[name] = .strings(kept)
    default: row[name] = nil
    }
    var extra = row["extra"]?.object ?? [:]
    extra[name] = value
    row["extra"] = .object(extra)
  }

  private static func features(_ row: inout JSONObject) {
    guard var features = row["features"]?.object else { return }
    if let open = features["openWeights"], row["openWeights"] == nil {
      row["openWeights"] = open
      features["openWeights"] = nil
    }
    row["features"] = .object(features)
  }

  private static func usage(_ row: inout JSONObject) {
    var usage = row["usage"]?.object ?? [:]
    for (from, to) in [("stars", "stars"), ("usageCount", "runs")] {
      if let value = row[from] {
        usage[to] = value
        row[from] = nil
      }
    }
    if !usage.isEmpty { row["usage"] = .object(usage) }
  }

  private static func metrics(_ row: inout JSONObject) {
    let names = [
      ("ttftMs", "timeToFirstTokenMs"), ("ttftP95Ms", "timeToFirstTokenP95Ms"),
      ("endToEndMs", "latencyP50Ms"), ("tokensPerSecond", "tokensPerSecond"),
    ]
    var metrics = row["metrics"]?.array ?? []
    for (from, to) in names {
      if let value = row[from] {
        metrics.append([
          "name": .string(to), "value": value, "provenance": "measured",
          "source": row["source"] ?? .null,
        ])
        row[from] = nil
      }
    }
    if !metrics.isEmpty { row["metrics"] = .array(metrics) }
  }

  private static func status(_ row: inout JSONObject) {
    if row["deprecated"]?.bool == true { row["status"] = "deprecated" }
    guard let status = row["status"]?.string, !Field.statuses.contains(status) else { return }
    row["status"] = "active"
    if ["alpha", "beta"].contains(status) {
      row["tags"] = .array((row["tags"]?.array ?? []) + [.string(status)])
    } else {
      var extra = row["extra"]?.object ?? [:]
      extra["status"] = .string(status)
      row["extra"] = .object(extra)
    }
  }

  private static func offers(_ row: inout JSONObject) {
    var prices: [JSON] = []
    for (from, meter) in [
      ("pricePer1KPromptTokens", "inputToken"), ("pricePer1KCompletionTokens", "outputToken"),
    ] {
      // The shortest decimal of the number is the source's own text; times 1,000 it is the price
      // of 1,000,000 tokens, with integers only.
      guard let number = row[from]?.double, number >= 0,
        let nano = DecimalText.nano("\(number)", timesPowerOfTen: 3)
      else { continue }
      prices.append([
        "meter": .string(meter), "per": 1_000_000, "amountNano": .int(nano), "currency": "USD",
      ])
      row[from] = nil
    }
    guard !prices.isEmpty else { return }
    let isFree = prices.allSatisfy { $0["amountNano"] == 0 }
    row["offers"] = [
      [
        "id": "usage", "name": isFree ? "Free" : "Pay per token", "plan": isFree ? "free" : "usage",
        "prices": .array(prices),
      ]
    ]
  }
}
