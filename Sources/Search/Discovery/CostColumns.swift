internal import Primitives

/// The cost of a usage by row of a segment, for sorting: from the columns, and from the offer itself where it
/// states what no column holds (included units, a minimum, tiers).
///
/// One currency is sorted; offers in another one are unknown to it, as they are to a price filter.
struct CostColumns {
  /// The columns of the meters that have one.
  private static let columns = [
    "inputToken": "inputPrice", "outputToken": "outputPrice", "call": "pricePerCall",
    "minute": "pricePerMinute", "image": "pricePerImage",
  ]
  /// Marks of offers whose cost is more than a sum of prices.
  private static let special = ["\"includedUnits\"", "\"minimumNano\"", "\"tiers\""]
    .map { Array($0.utf8) }

  private let segment: Segment
  private let usage: UsageProfile
  private let currency: String
  private let unit: Int8
  private let parts: [(column: Column?, factor: Double)]
  private let fee: Column?
  /// Whether every meter used has a column.
  private let hasColumns: Bool

  /// - Parameter currency: ISO 4217; one of `IndexField.currencies`, else every cost is unknown.
  init(_ segment: Segment, usage: UsageProfile, currency: String = "USD") {
    self.segment = segment
    self.usage = usage
    self.currency = currency
    unit = Int8(clamping: IndexField.currencies.firstIndex(of: currency) ?? -2)
    let used = usage.used
    hasColumns = used.allSatisfy { CostColumns.columns[$0.meter] != nil }
    parts = used.map { meter, count in
      // Columns hold tokens per 1,000,000.
      let per = meter.hasSuffix("Token") ? 1e6 : 1
      let column = CostColumns.columns[meter].flatMap { segment.column($0) }
      return (column, Double(count) * Double(usage.months) / per)
    }
    fee = segment.column("monthlyFee")
  }

  /// Billionths, or nil where the cost is unknown. Two costs that differ by less than 2^-52 of themselves may
  /// sort either way; the cost that is shown is exact.
  func cost(row: Int) -> Double? {
    let offer = segment.offer(row: row)
    guard !offer.isEmpty else { return nil }
    let isSpecial = CostColumns.special.contains { CostColumns.contains(offer, $0) }
    guard hasColumns, !isSpecial else { return exact(offer) }
    var sum = 0.0
    var isPriced = false
    for part in parts {
      // A free plan without prices, or no price: the offer says which.
      guard let column = part.column, let price = column.number(row) else { return exact(offer) }
      guard column.unit(row) == unit else { return nil }
      sum += price * part.factor
      isPriced = true
    }
    if let fee, let amount = fee.number(row) {
      guard fee.unit(row) == unit else { return nil }
      sum += amount * Double(usage.months)
      isPriced = true
    }
    return isPriced ? sum : exact(offer)
  }

  private func exact(_ offer: [UInt8]) -> Double? {
    guard let json = try? JSON.parse(offer) else { return nil }
    guard let quote = CostTable.answer(OfferTerms(json), usage: usage).quote,
      quote.currency == nil || quote.currency == currency
    else { return nil }
    return Double(quote.amountNano)
  }

  private static func contains(_ text: [UInt8], _ part: [UInt8]) -> Bool {
    guard text.count >= part.count, let first = part.first else { return false }
    var place = 0
    let last = text.count - part.count
    while place <= last {
      if text[place] == first, text[place..<(place + part.count)].elementsEqual(part) {
        return true
      }
      place += 1
    }
    return false
  }
}
