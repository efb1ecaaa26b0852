public import Primitives

/// A price of an offer: an amount per so many of a meter.
public struct Price: Sendable, Equatable {
  /// What is counted: `inputToken, outputToken, call, minute, image, character, ...`.
  public let meter: String
  /// How many of it the amount buys; for tokens 1,000,000.
  public let per: Int64
  /// The amount.
  public let money: Money

  /// A price.
  public init(meter: String, per: Int64, money: Money) {
    self.meter = meter
    self.per = per
    self.money = money
  }
}

/// A priced way to use a service.
public struct Offer: Sendable {
  /// Unique in its service.
  public let id: String
  /// For people.
  public let name: String
  /// `usage, hybrid, bundle, time, tiered` or `free`.
  public let plan: String
  /// What is paid for use.
  public let prices: [Price]
  /// The fixed fee, in the currency of the prices, or nil.
  public let monthlyFee: Money?
  /// Whole tokens an hour of session time, for paid sessions; nil where none is stated.
  public let tokenRatePerHour: Int64?
  /// Microtokens a unit that its provider reports, for paid sessions by use; nil where none is stated. An offer has
  /// this or a rate, never both.
  public let unitPriceMicrotokens: Int64?
  /// What a unit is, for people: `call`, `page`, ...
  public let unit: String?
  /// Where it is served, or nil.
  public let region: String?
  /// The offer as stored.
  public let document: JSONObject

  /// The plans.
  public static let plans = ["usage", "hybrid", "bundle", "time", "tiered", "free"]

  /// The most characters of a name and of a region, and the most bytes of an offer as JSON.
  private static let nameMax = 200
  private static let regionMax = 80
  private static let byteMax = 16_384

  /// Reads a stored or incoming offer, collecting what is wrong under the pointer.
  static func read(
    _ value: JSON, at pointer: String, isStored: Bool, into fields: inout [Refusal.Field]
  ) -> Offer? {
    guard let object = value.object else {
      fields.append(.init(pointer, "must be an object"))
      return nil
    }
    let before = fields.count
    let id = object["id"]?.string ?? "default"
    if !Slug.isValid(id) { fields.append(.init(pointer + "/id", "must be a slug")) }
    let plan = object["plan"]?.string ?? "usage"
    if !plans.contains(plan) {
      fields.append(.init(pointer + "/plan", "must be one of " + plans.joined(separator: ", ")))
    }
    if let value = object["prices"], value.array == nil {
      fields.append(.init(pointer + "/prices", "must be a list"))
    }
    let prices = (object["prices"]?.array ?? []).enumerated().compactMap { index, price in
      Offer.price(price, at: "\(pointer)/prices/\(index)", into: &fields)
    }
    if prices.count > 20 {
      fields.append(.init(pointer + "/prices", "must have at most 20 entries"))
    }
    let currency = prices.first?.money.currency ?? object["currency"]?.string ?? "USD"
    let fee = amount(object["monthlyFeeNano"], at: pointer + "/monthlyFeeNano", into: &fields)
    let rate = amount(object["tokenRatePerHour"], at: pointer + "/tokenRatePerHour", into: &fields)
    if let rate, rate > 1_000_000_000 {
      fields.append(.init(pointer + "/tokenRatePerHour", "must be at most 1000000000"))
    }
    let unitPrice = unitPrice(of: object, hasRate: rate != nil, at: pointer, into: &fields)
    if !isStored { checkTexts(object, at: pointer, into: &fields) }
    guard fields.count == before else { return nil }
    var document = object
    document["id"] = .string(id)
    document["plan"] = .string(plan)
    return Offer(
      id: id, name: object["name"]?.string ?? plan, plan: plan, prices: prices,
      monthlyFee: fee.map { Money(amountNano: $0, currency: currency) }, tokenRatePerHour: rate,
      unitPriceMicrotokens: unitPrice, unit: object["unit"]?.string,
      region: object["region"]?.string, document: document)
  }

  private static func unitPrice(
    of object: JSONObject, hasRate: Bool, at pointer: String, into fields: inout [Refusal.Field]
  ) -> Int64? {
    let place = pointer + "/unitPriceMicrotokens"
    guard let price = amount(object["unitPriceMicrotokens"], at: place, into: &fields) else {
      return nil
    }
    // A price of 0 would never reach its hold.
    if !(1...1_000_000_000_000_000).contains(price) {
      fields.append(.init(place, "must be a whole number from 1 to 1000000000000000"))
    }
    if hasRate { fields.append(.init(place, "must not stand beside tokenRatePerHour")) }
    if let unit = object["unit"], unit != .null {
      // It stands in the text that a user agrees to.
      let text = unit.string ?? ""
      if text.utf8.count > 40 || LineText.isBlank(text) || LineText.reason(text) != nil {
        fields.append(.init(pointer + "/unit", "must name the unit in one line of 40 bytes"))
      }
    }
    return price
  }

  private static func checkTexts(
    _ offer: JSONObject, at pointer: String, into fields: inout [Refusal.Field]
  ) {
    for (name, max) in [("name", nameMax), ("region", regionMax)] {
      guard let value = offer[name], value != .null else { continue }
      let text = value.string ?? ""
      let reason = FieldCheck.reason(value, for: .text(max: max)) ?? LineText.reason(text)
      if let reason {
        fields.append(.init("\(pointer)/\(name)", reason))
      } else if name == "name", LineText.isBlank(text) {
        fields.append(.init(pointer + "/name", "must not be blank"))
      }
    }
    for (index, price) in (offer["prices"]?.array ?? []).enumerated() {
      if let reason = price["meter"]?.string.flatMap(LineText.reason) {
        fields.append(.init("\(pointer)/prices/\(index)/meter", reason))
      }
    }
    if JSON.object(offer).bytes.count > byteMax {
      fields.append(.init(pointer, "must be at most \(byteMax) bytes"))
    }
  }

  private static func price(
    _ value: JSON, at pointer: String, into fields: inout [Refusal.Field]
  ) -> Price? {
    guard let meter = value["meter"]?.string, !meter.isEmpty, meter.utf8.count <= 40 else {
      fields.append(.init(pointer + "/meter", "must name what is counted"))
      return nil
    }
    guard let per = value["per"]?.int, (1...1_000_000_000).contains(per) else {
      fields.append(.init(pointer + "/per", "must be a whole number from 1 to 1000000000"))
      return nil
    }
    guard let nano = amount(value["amountNano"], at: pointer + "/amountNano", into: &fields) else {
      if value["amountNano"] ?? .null == .null {
        fields.append(.init(pointer + "/amountNano", "is missing"))
      }
      return nil
    }
    guard let currency = value["currency"]?.string, currency.utf8.count == 3,
      currency.utf8.allSatisfy({ (0x41...0x5A).contains($0) })
    else {
      fields.append(.init(pointer + "/currency", "must be three capital letters (ISO 4217)"))
      return nil
    }
    return Price(meter: meter, per: per, money: Money(amountNano: nano, currency: currency))
  }

  private static func amount(
    _ value: JSON?, at pointer: String, into fields: inout [Refusal.Field]
  ) -> Int64? {
    guard let value, value != .null else { return nil }
    // 2^53 keeps every amount exact in clients that read numbers as doubles.
    guard case .int(let number) = value, (0..<(1 << 53)).contains(number) else {
      fields.append(.init(pointer, "must be a whole number from 0 to 9007199254740991"))
      return nil
    }
    return number
  }

  /// The price of a meter, or nil.
  public func price(_ meter: String) -> Price? { prices.first { $0.meter == meter } }

  /// The amount that `price` means in a filter or sort: a model's input price, else the only price.
  public var mainPrice: Price? { price("inputToken") ?? (prices.count == 1 ? prices[0] : nil) }

  /// The offer's terms as one canonical text: what a proposal binds itself to.
  public var terms: [UInt8] { JSON.object(document).canonicalBytes }
}

/// Ids that people and programs write.
public enum Slug {
  /// Whether a text is `[a-z0-9][a-z0-9._-]{0,127}`.
  public static func isValid(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, bytes.count <= 128 else { return false }
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
    }
    return isLetterOrDigit(first)
      && bytes.allSatisfy { isLetterOrDigit($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
  }

  /// 16 hexadecimal digits of a text (FNV-1a, 64 bits): stable over runs, for names without a slug of their own.
  static func fingerprint(of text: String) -> String {
    let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    return BytesText.hex((0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) })
  }

  /// A slug made of a name: lower case, every run of other characters one hyphen; nil where nothing is left.
  public static func make(from name: String) -> String? {
    var output: [UInt8] = []
    for byte in name.lowercased().utf8 {
      let isKept = (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2E
      if isKept, !(output.isEmpty && byte == 0x2E) {
        output.append(byte)
      } else if let last = output.last, last != 0x2D {
        output.append(0x2D)
      }
    }
    while output.last == 0x2D { output.removeLast() }
    let text = String(decoding: output.prefix(120), as: UTF8.self)
    return isValid(text) ? text : nil
  }
}
