internal import Primitives

/// Where the cost of a row's offer is to be read; noted by row when a segment is built, so that sorting a whole
/// catalog reads few offers.
enum CostSource: UInt8 {
  /// The offer itself: it states included units, a minimum, or no price beside a currency.
  case offer
  /// Prices and the fee alone make the cost: the columns hold them.
  case columns
  /// A free plan without prices: nothing, in every currency.
  case nothing
  /// No usage has a known cost: no offer, no price, or prices that change with the amount used.
  case unknown

  /// - Parameter offer: The stored offer, or nil where the row has none.
  init(_ offer: JSON?) {
    guard let offer else {
      self = .unknown
      return
    }
    let terms = OfferTerms(offer)
    if terms.isFree {
      self = terms.currency == nil ? .nothing : .offer
    } else if !terms.faults.isEmpty || terms.currency == nil {
      self = .unknown
    } else {
      self = terms.included.isEmpty && terms.minimumNano == 0 ? .columns : .offer
    }
  }
}

/// The cost of a usage by row of a segment, for sorting: the same as `CostTable` gives, from the columns where
/// these say all, and else from the offer.
struct CostColumns {
  /// The columns of the meters that have one.
  private static let columns = [
    "inputToken": "inputPrice", "outputToken": "outputPrice", "call": "pricePerCall",
    "minute": "pricePerMinute", "image": "pricePerImage",
  ]

  private struct Part {
    let column: Column?
    let count: Int64
    /// How many of the meter the column's amounts buy.
    let per: Int64
  }

  private let segment: Segment
  private let usage: UsageProfile
  private let parts: [Part]
  private let fee: Column?
  /// Whether every meter used has a column.
  private let hasColumns: Bool

  init(_ segment: Segment, usage: UsageProfile) {
    self.segment = segment
    self.usage = usage
    let used = usage.used
    hasColumns = used.allSatisfy { CostColumns.columns[$0.meter] != nil }
    parts = used.map { meter, count in
      Part(
        column: CostColumns.columns[meter].flatMap { segment.column($0) }, count: count,
        per: meter.hasSuffix("Token") ? 1_000_000 : 1)
    }
    fee = segment.column("monthlyFee")
  }

  /// Billionths and the currency's code (-1 for nothing at all, which is the same in each), or nil where the
  /// cost is unknown or in a currency that filters and sorts do not know. Exact up to 2^53 billionths.
  func cost(row: Int) -> (nano: Double, currency: Int8)? {
    switch segment.costSource(row: row) {
    case .unknown: nil
    case .nothing: (0, -1)
    case .offer: exact(row)
    case .columns: hasColumns ? sum(row) : exact(row)
    }
  }

  private func sum(_ row: Int) -> (nano: Double, currency: Int8)? {
    var sum: Int64 = 0
    var unit: Int8?
    func add(_ amount: Int64?) -> Bool {
      guard let amount else { return false }
      let (total, overflow) = sum.addingReportingOverflow(amount)
      sum = total
      return !overflow
    }
    for part in parts {
      // All prices have a column, so one that is not there is not stated.
      guard let column = part.column, let price = column.number(row) else { return nil }
      guard let nano = CostColumns.whole(price),
        add(
          CostTable.amount(
            of: part.count, months: usage.months, at: .init(amountNano: nano, per: part.per)))
      else { return exact(row) }
      unit = column.unit(row)
    }
    if let fee, let amount = fee.number(row) {
      let rate = OfferTerms.Rate(amountNano: 1, per: 1)
      guard let nano = CostColumns.whole(amount),
        add(CostTable.amount(of: nano, months: usage.months, at: rate))
      else { return exact(row) }
      unit = fee.unit(row)
    }
    return unit.map { (Double(sum), $0) } ?? exact(row)
  }

  /// A column's amount as the whole number that it is; nil where it has a fraction or may have lost one.
  private static func whole(_ number: Double) -> Int64? {
    number >= 0 && number < 0x1p52 && number == number.rounded() ? Int64(number) : nil
  }

  private func exact(_ row: Int) -> (nano: Double, currency: Int8)? {
    guard let json = try? JSON.parse(segment.offer(row: row)),
      let quote = CostTable.answer(OfferTerms(json), usage: usage).quote
    else { return nil }
    guard let currency = quote.currency else { return (0, -1) }
    return IndexField.currencies.firstIndex(of: currency).map {
      (Double(quote.amountNano), Int8($0))
    }
  }
}
