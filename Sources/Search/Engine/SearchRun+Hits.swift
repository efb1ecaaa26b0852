internal import Primitives

/// What a page says of each of its hits.
extension SearchRun {
  /// A hit of the page, with what the request wants to know of it.
  func hit(_ ranked: RankedService, _ rows: Bitset, _ relevance: Relevance) -> Hit {
    let place = ranked.place
    let segment = snapshot.segments[place.segment]
    let best = bestOffer(segment, place, rows)
    let (text, vector) = relevance.scores(place)
    let service = segment.document(place.index)
    return Hit(
      id: segment.id(place.index), name: segment.name(place.index), place: place, service: service,
      offer: best.row.map(segment.offer(row:)) ?? [], offerReason: best.reason,
      score: Double(ranked.score), textScore: Double(text), vectorScore: Double(vector),
      cost: best.cost,
      highlights: request.highlights ? highlight(service) : nil,
      explanation: request.explains ? explain(ranked, relevance, text, vector) : nil)
  }

  /// The cheapest of the offers that match: by what the caller's usage costs, else by `price`; the first where
  /// none states one.
  private func bestOffer(
    _ segment: Segment, _ place: Place, _ rows: Bitset
  ) -> (row: Int?, reason: String?, cost: CostTable.Quote?) {
    let matching = segment.rows(of: place.index).filter { rows[$0] && segment.hasOffer(row: $0) }
    guard let first = matching.first else { return (nil, nil, nil) }
    let only = matching.count == 1 ? "the only matching offer" : nil
    if let (row, quote) = cheapest(matching, segment) {
      let reason = "the lowest cost for your usage of \(matching.count) matching offers"
      return (row, only ?? reason, quote)
    }
    let prices = matching.compactMap { row -> (Int, (Double, Int8))? in
      guard let column = segment.column("price"), let price = column.number(row) else { return nil }
      return (row, (price, column.unit(row)))
    }
    // Amounts of different currencies are not compared: those of the first currency stand before the others.
    let best = prices.min { ($0.1.1, $0.1.0, $0.0) < ($1.1.1, $1.1.0, $1.0) }
    guard let best else { return (first, only ?? "price not stated", nil) }
    return (best.0, only ?? "the lowest price of \(matching.count) matching offers", nil)
  }

  /// The row whose offer costs least for the caller's usage, in the order of currencies of a sort by cost.
  private func cheapest(_ rows: [Int], _ segment: Segment) -> (row: Int, quote: CostTable.Quote)? {
    guard let usage = request.usage else { return nil }
    let quotes = rows.compactMap { row in
      (try? JSON.parse(segment.offer(row: row)))
        .flatMap { CostTable.answer(OfferTerms($0), usage: usage).quote }.map { (row, $0) }
    }
    func key(_ one: (row: Int, quote: CostTable.Quote)) -> (Int, String, Int64, Int) {
      let code = one.quote.currency ?? ""
      let known = IndexField.currencies.firstIndex(of: code) ?? IndexField.currencies.count
      return (code.isEmpty ? -1 : known, code, one.quote.amountNano, one.row)
    }
    return quotes.min { key($0) < key($1) }
  }

  private func explain(
    _ ranked: RankedService, _ relevance: Relevance, _ text: Float, _ vector: Float
  ) -> JSON {
    let bonus = relevance.named.contains(ranked.place) ? snapshot.configuration.nameBonus : 0
    let parts = relevance.mixed(text, 0)
    let base = relevance.mixed(text, vector) + bonus
    let isRescored = ranked.score != base
    let gain = isRescored ? Rescoring(snapshot, relevance).gain(ranked.place) : .init()
    var object: JSONObject = [
      "queryClass": .string(output.queryClass.rawValue),
      "weights": [
        "text": .double(Double(relevance.textWeight)),
        "vector": .double(Double(relevance.vectorWeight)),
      ],
      "text": .double(Double(parts)), "vector": .double(Double(relevance.mixed(0, vector))),
      "sentence": .double(Double(gain.sentence)), "pairs": .double(Double(gain.pair)),
      "name": .double(Double(bonus)), "sum": .double(Double(ranked.score)),
    ]
    if request.sort.first.map({ $0.field == "relevance" }) ?? true {
      object["quality"] = [
        "prior": .double(Double(snapshot.prior(ranked.place))),
        "bucket": .double(Double(snapshot.configuration.bucket(of: ranked.score))),
      ]
    }
    return .object(object)
  }

  private func highlight(_ service: [UInt8]) -> JSON {
    let wanted = Set(analyzer.queryTerms(request.query))
    var output = JSONObject()
    for (field, text) in HighlightText.texts(of: service) {
      let bytes = Array(text.utf8)
      var ranges: [JSON] = []
      for (token, range) in analyzer.ranges(text) where wanted.contains(token) && ranges.count < 50
      {
        // Offsets in UTF-16 units, as a browser counts.
        let start = String(decoding: bytes[..<range.lowerBound], as: UTF8.self).utf16.count
        let length = String(decoding: bytes[range], as: UTF8.self).utf16.count
        ranges.append(["start": .number(start), "end": .number(start + length)])
      }
      if !ranges.isEmpty { output[field] = .array(ranges) }
    }
    return .object(output)
  }
}

/// The texts of a stored hit that people read.
enum HighlightText {
  static func texts(of service: [UInt8]) -> [(field: String, text: String)] {
    guard let json = try? JSON.parse(service) else { return [] }
    return ["name", "tagline", "description"].compactMap { field in
      json[field]?.string.map { (field, $0) }
    }
  }
}
