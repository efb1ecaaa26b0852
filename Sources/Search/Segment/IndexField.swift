internal import Catalog
internal import Primitives

/// One field that search can filter, count or sort by: how it is read from a service and an offer.
package struct IndexField: Sendable {
  /// What kind of values it has.
  package enum Kind: String, Sendable {
    /// Words; a row may have several.
    case words
    /// Names that are true or false, each on its own.
    case flags
    /// Numbers.
    case number
    /// Prices: numbers of billionths in a currency.
    case price
    /// Days as milliseconds of midnight.
    case date
  }

  package let name: String
  package let kind: Kind
  package let isFacet: Bool
  /// Whether values differ between a service's offers.
  package let isOfferField: Bool
  package let help: String
  let read: @Sendable (StoredService, Offer?) -> ColumnBuilder.Value

  package static let currencies = ["USD", "EUR", "GBP", "CHF", "CNY", "JPY", "INR"]

  /// Every field, catalog fields first.
  package static let all: [IndexField] = catalogFields + derivedFields + offerFields
  package static let named: [String: IndexField] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  private static let catalogFields: [IndexField] = Field.all.filter(\.isFilterable).map { field in
    switch field.kind {
    case .integer, .number:
      return IndexField(field, .number) { service, _ in
        number(service.service.fields[field.name]?.double)
      }
    case .date:
      return IndexField(field, .date) { service, _ in
        number(
          service.service.text(field.name).flatMap(Timestamp.parse(date:))
            .map { Double($0.milliseconds) })
      }
    case .bool:
      return IndexField(field, .words) { service, _ in
        words((service.service.fields[field.name]?.bool).map { [$0 ? "true" : "false"] })
      }
    case .flags:
      return IndexField(field, .flags) { service, _ in
        flags(service.service.fields[field.name]?.object)
      }
    case .opaque: return IndexField(field, .flags) { service, _ in compliance(service.service) }
    case .list, .choices:
      return IndexField(field, .words) { service, _ in words(service.service.list(field.name)) }
    default:
      return IndexField(field, .words) { service, _ in
        words(service.service.text(field.name).map { [$0] })
      }
    }
  }

  private static let derivedFields: [IndexField] = [
    IndexField("id", .words, "the service's id") { words([$0.service.id]) },
    IndexField("providerId", .words, facet: true, "the provider's id") {
      words([$0.service.providerID])
    },
    IndexField("provider", .words, facet: true, "the provider's name") {
      words($0.service.providerName.isEmpty ? nil : [$0.service.providerName])
    },
    IndexField("verified", .words, facet: true, "the provider is verified") {
      words([$0.isProviderVerified ? "true" : "false"])
    },
    IndexField("trialOffered", .words, facet: true, "the provider offers a trial") {
      words($0.service.trial.map { [$0.isOffered ? "true" : "false"] })
    },
    metric("latencyP50", "latencyP50Ms", "median latency, ms"),
    metric("latencyP95", "latencyP95Ms", "p95 latency, ms"),
    metric("latencyP99", "latencyP99Ms", "p99 latency, ms"),
    metric("timeToFirstToken", "timeToFirstTokenMs", "time to first token, ms"),
    metric("tokensPerSecond", "tokensPerSecond", "tokens a second"),
    metric("uptime", "uptime30d", "uptime of 30 days, percent"),
    IndexField("stars", .number, facet: true, "stars of the source") { usage($0.service, "stars") },
    IndexField("runs", .number, facet: true, "runs at the source") { usage($0.service, "runs") },
  ]

  private static let offerFields: [IndexField] = [
    IndexField(offer: "plan", .words, "how an offer is paid") { words([$0.plan]) },
    IndexField(offer: "currency", .words, "currency of an offer") {
      words($0.prices.first.map { [$0.money.currency] })
    },
    IndexField(offer: "offerRegion", .words, "region of an offer") {
      words($0.region.map { [$0] })
    },
    IndexField(offer: "price", .price, "input price of models, else the only price") {
      price($0.mainPrice)
    },
    IndexField(offer: "inputPrice", .price, "price of 1,000,000 input tokens") {
      price($0.price("inputToken"))
    },
    IndexField(offer: "outputPrice", .price, "price of 1,000,000 output tokens") {
      price($0.price("outputToken"))
    },
    IndexField(offer: "pricePerCall", .price, "price of a call") { price($0.price("call")) },
    IndexField(offer: "pricePerMinute", .price, "price of a minute") { price($0.price("minute")) },
    IndexField(offer: "pricePerImage", .price, "price of an image") { price($0.price("image")) },
    IndexField(offer: "monthlyFee", .price, "fixed fee of a month") { offer in
      price(offer.monthlyFee.map { Price(meter: "month", per: 1, money: $0) })
    },
  ]

  private init(
    _ field: Field, _ kind: Kind,
    _ read: @escaping @Sendable (StoredService, Offer?) -> ColumnBuilder.Value
  ) {
    self.init(
      name: field.name, kind: kind, isFacet: field.isFacet, isOfferField: false, help: field.help,
      read: read)
  }

  private init(
    _ name: String, _ kind: Kind, facet: Bool = false, _ help: String,
    _ read: @escaping @Sendable (StoredService) -> ColumnBuilder.Value
  ) {
    self.init(name: name, kind: kind, isFacet: facet, isOfferField: false, help: help) {
      service, _ in read(service)
    }
  }

  private init(
    offer name: String, _ kind: Kind, _ help: String,
    _ read: @escaping @Sendable (Offer) -> ColumnBuilder.Value
  ) {
    self.init(name: name, kind: kind, isFacet: true, isOfferField: true, help: help) { _, offer in
      offer.map(read) ?? .unknown
    }
  }

  private init(
    name: String, kind: Kind, isFacet: Bool, isOfferField: Bool, help: String,
    read: @escaping @Sendable (StoredService, Offer?) -> ColumnBuilder.Value
  ) {
    self.name = name
    self.kind = kind
    self.isFacet = isFacet
    self.isOfferField = isOfferField
    self.help = help
    self.read = read
  }

  private static func metric(_ name: String, _ key: String, _ help: String) -> IndexField {
    IndexField(name, .number, facet: true, help) { stored in
      let metrics = stored.service.fields["metrics"]?.array ?? []
      return number(metrics.first { $0["name"]?.string == key }?["value"]?.double)
    }
  }

  /// Beyond 2^53 a figure is no measurement, and sums over such would leave what JSON can say.
  private static func number(_ value: Double?) -> ColumnBuilder.Value {
    guard let value, value.magnitude <= 0x1p53 else { return .unknown }
    return .number(value, unit: -1)
  }

  private static func words(_ values: [String]?) -> ColumnBuilder.Value {
    guard let values, !values.isEmpty else { return .unknown }
    return .words(values, no: [])
  }

  private static func flags(_ object: JSONObject?) -> ColumnBuilder.Value {
    guard let object, !object.isEmpty else { return .unknown }
    let names = { (wanted: Bool) in
      object.members.filter { $0.value.bool == wanted }.map(\.key)
    }
    return .words(names(true), no: names(false))
  }

  private static func compliance(_ service: Service) -> ColumnBuilder.Value {
    guard let schemes = service.fields["compliance"]?.array, !schemes.isEmpty else {
      return .unknown
    }
    let names = { (state: String) in
      schemes.filter { $0["state"]?.string == state }.compactMap { $0["scheme"]?.string }
    }
    return .words(names("yes"), no: names("no"))
  }

  private static func usage(_ service: Service, _ key: String) -> ColumnBuilder.Value {
    number(service.fields["usage"]?[key]?.double)
  }

  private static func price(_ price: Price?) -> ColumnBuilder.Value {
    guard let price, let unit = currencies.firstIndex(of: price.money.currency) else {
      return .unknown
    }
    // Amounts of tokens are kept per 1,000,000; another `per` is brought to it. Doubles are exact to 2^53.
    let perUnit = price.meter.hasSuffix("Token") ? 1_000_000 : 1
    let amount = Int128(price.money.amountNano) * Int128(perUnit)
    let (whole, rest) = amount.quotientAndRemainder(dividingBy: Int128(max(price.per, 1)))
    var number = Double(whole) + Double(rest) / Double(price.per)
    if rest != 0, number == number.rounded() {
      // A fraction too small for a double still tells the amount from a whole one.
      number = number > Double(whole) ? number.nextDown : number.nextUp
    }
    return .number(number, unit: Int8(unit))
  }
}
