import Catalog
import Primitives

/// What listings say, row by row, read from their JSON documents alone: the ground that the tests'
/// brute force stands on. A row is an offer; a service without one has a row of its own.
struct FactTable: Sendable {
  /// A price: so many billionths for so many, in a currency that filters know.
  struct Amount: Sendable {
    let nano: Int128
    let per: Int128
    let currency: String

    /// Billionths for one, rounded once.
    var value: Double {
      nano % per == 0 ? Double(nano / per) : Double(nano) / Double(per)
    }
  }

  let services: [Service]
  /// Where each service's rows are.
  let rowsOfService: [Range<Int>]
  /// The id of each row's offer; nil where the service has none.
  let offerIDs: [String?]
  /// Words as written, by field.
  let words: [String: [[String]?]]
  /// The same in lower case, for comparisons.
  let folded: [String: [[String]?]]
  /// Names that are true or false, in lower case, by field.
  let flags: [String: [[String: Bool]?]]
  let numbers: [String: [Double?]]
  let prices: [String: [Amount?]]
  /// Days of four, two and two digits, which sort as text.
  let dates: [String: [String?]]

  var rowCount: Int { offerIDs.count }

  init(_ services: [Service]) {
    var rows: [Row] = []
    var ranges: [Range<Int>] = []
    for service in services {
      let document = JSON.object(service.document)
      let offers = document["offers"]?.array ?? []
      ranges.append(rows.count..<(rows.count + max(offers.count, 1)))
      rows += offers.isEmpty ? [Row(document, nil)] : offers.map { Row(document, $0) }
    }
    self.services = services
    rowsOfService = ranges
    offerIDs = rows.map { $0.offer?["id"]?.string }
    words = FactTable.columns(FactTable.wordFields, rows) { $1.words($0) }
    folded = words.mapValues { column in column.map { $0?.map { $0.lowercased() } } }
    flags = FactTable.columns(["features", "compliance"], rows) { $1.flags($0) }
    numbers = FactTable.columns(FactTable.numberFields, rows) { $1.number($0) }
    prices = FactTable.columns(FactTable.priceFields, rows) { $1.amount($0) }
    dates = FactTable.columns(["releasedAt", "lastUpdatedAt"], rows) { $1.document[$0]?.string }
  }

  private static func columns<T>(
    _ fields: [String], _ rows: [Row], _ read: (String, Row) -> T?
  ) -> [String: [T?]] {
    Dictionary(uniqueKeysWithValues: fields.map { field in (field, rows.map { read(field, $0) }) })
  }

  static let wordFields = [
    "id", "name", "kind", "status", "authType", "https", "cors", "license", "openWeights",
    "country", "modelFamily", "categories", "tags", "regions", "inputModalities", "providerId",
    "provider", "verified", "trialOffered", "plan", "currency", "offerRegion",
  ]
  static let numberFields = [
    "contextWindow", "maxOutputTokens", "rating", "reviewCount", "stars", "runs", "latencyP95",
    "uptime",
  ]
  /// The currencies in which filters and sorts know prices.
  static let currencies = ["USD", "EUR", "GBP", "CHF", "CNY", "JPY", "INR"]
  static let priceFields = [
    "price", "inputPrice", "outputPrice", "pricePerCall", "pricePerMinute", "pricePerImage",
    "monthlyFee",
  ]
}

/// One row's documents, and what the specification makes of them.
private struct Row {
  let document: JSON
  let offer: JSON?

  init(_ document: JSON, _ offer: JSON?) {
    self.document = document
    self.offer = offer
  }

  func words(_ field: String) -> [String]? {
    switch field {
    case "provider": document["providerName"]?.string.map { [$0] }
    // No test verifies a provider.
    case "verified": ["false"]
    case "trialOffered":
      document["trial"]?.object.map { [String($0["offered"]?.bool ?? false)] }
    case "https", "openWeights": document[field]?.bool.map { [String($0)] }
    case "plan": offer?["plan"]?.string.map { [$0] }
    case "offerRegion": offer?["region"]?.string.map { [$0] }
    case "currency": offer?["prices"]?.array?.first?["currency"]?.string.map { [$0] }
    default:
      if let text = document[field]?.string { [text] } else { list(field) }
    }
  }

  private func list(_ field: String) -> [String]? {
    let values = (document[field]?.array ?? []).compactMap(\.string)
    return values.isEmpty ? nil : values
  }

  func flags(_ field: String) -> [String: Bool]? {
    var flags: [String: Bool] = [:]
    if field == "features" {
      let members = document[field]?.object?.members ?? []
      for member in members { flags[member.key.lowercased()] = member.value.bool }
      return members.isEmpty ? nil : flags
    }
    let schemes = document[field]?.array ?? []
    for scheme in schemes {
      let answers = ["yes": true, "no": false]
      guard let name = scheme["scheme"]?.string else { continue }
      flags[name.lowercased()] = answers[scheme["state"]?.string ?? ""]
    }
    return schemes.isEmpty ? nil : flags
  }

  func number(_ field: String) -> Double? {
    switch field {
    case "stars", "runs": return document["usage"]?[field]?.double
    case "latencyP95", "uptime":
      let name = field == "uptime" ? "uptime30d" : "latencyP95Ms"
      let metrics = document["metrics"]?.array ?? []
      return metrics.first { $0["name"]?.string == name }?["value"]?.double
    default: return document[field]?.double
    }
  }

  func amount(_ field: String) -> FactTable.Amount? {
    let prices = offer?["prices"]?.array ?? []
    func of(_ meter: String) -> JSON? { prices.first { $0["meter"]?.string == meter } }
    switch field {
    case "price": return amount(of("inputToken") ?? (prices.count == 1 ? prices.first : nil))
    case "inputPrice": return amount(of("inputToken"))
    case "outputPrice": return amount(of("outputToken"))
    case "pricePerCall": return amount(of("call"))
    case "pricePerMinute": return amount(of("minute"))
    case "pricePerImage": return amount(of("image"))
    default:
      guard let nano = offer?["monthlyFeeNano"]?.int else { return nil }
      let currency = prices.first?["currency"]?.string ?? offer?["currency"]?.string ?? "USD"
      return known(Int128(nano), per: 1, currency)
    }
  }

  /// Tokens are counted by the million, everything else by one.
  private func amount(_ price: JSON?) -> FactTable.Amount? {
    guard let price, let nano = price["amountNano"]?.int, let per = price["per"]?.int,
      let currency = price["currency"]?.string
    else { return nil }
    let isToken = price["meter"]?.string?.hasSuffix("Token") == true
    return known(Int128(nano) * (isToken ? 1_000_000 : 1), per: Int128(per), currency)
  }

  private func known(_ nano: Int128, per: Int128, _ currency: String) -> FactTable.Amount? {
    guard FactTable.currencies.contains(currency) else { return nil }
    return FactTable.Amount(nano: nano, per: per, currency: currency)
  }
}
