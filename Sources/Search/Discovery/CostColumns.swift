internal import Primitives

/// The cost of a usage by row of a segment, for sorting: from the columns, and from the offer itself where it
/// states what no column holds (included units, a minimum, tiers).
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
  private let parts: [(column: Column?, factor: Double)]
  private let fee: Column?
  /// Whether every meter used has a column.
  private let hasColumns: Bool

  init(_ segment: Segment, usage: UsageProfile) {
    self.segment = segment
    self.usage = usage
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

  /// Billionths and the currency's code (-1 for nothing at all, which is the same in each), or nil where the
  /// cost is unknown. Two costs that differ by less than 2^-52 of themselves may sort either way; the cost
  /// that is shown is exact.
  func cost(row: Int) -> (nano: Double, currency: Int8)? {
    let offer = segment.offer(row: row)
    guard !offer.isEmpty else { return nil }
    let isSpecial = CostColumns.special.contains { CostColumns.contains(offer, $0) }
    guard hasColumns, !isSpecial else { return exact(offer) }
    var sum = 0.0
    var unit: Int8?
    for part in parts {
      // A free plan without prices, or no price: the offer says which.
      guard let column = part.column, let price = column.number(row) else { return exact(offer) }
      guard unit == nil || unit == column.unit(row) else { return nil }
      unit = column.unit(row)
      sum += price * part.factor
    }
    if let fee, let amount = fee.number(row) {
      guard unit == nil || unit == fee.unit(row) else { return nil }
      unit = fee.unit(row)
      sum += amount * Double(usage.months)
    }
    return unit.map { (sum, $0) } ?? exact(offer)
  }

  private func exact(_ offer: [UInt8]) -> (nano: Double, currency: Int8)? {
    guard let json = try? JSON.parse(offer),
      let quote = CostTable.answer(OfferTerms(json), usage: usage).quote
    else { return nil }
    guard let currency = quote.currency else { return (0, -1) }
    return IndexField.currencies.firstIndex(of: currency).map {
      (Double(quote.amountNano), Int8($0))
    }
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
