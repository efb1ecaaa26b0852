/// Collects the postings and the words of services, in rising order of service.
struct PostingsBuilder {
  private struct Entry {
    let term: Int32
    let service: Int32
    /// Weighted frequency of the term in the service.
    let frequency: Float
  }

  private var codes: [String: Int32] = [:]
  private var terms: [String] = []
  private var entries: [Entry] = []
  private var lengths: [Int32] = []
  /// Codes of the terms of each service in their order; -1 behind each field.
  private var sequence: [Int32] = []
  private var sequenceStarts: [UInt64] = [0]
  private var wordCounts: [String: UInt32] = [:]
  private var learned: [String: [(service: UInt32, impact: Float)]] = [:]

  mutating func add(_ terms: Analyzer.Terms) {
    let service = Int32(lengths.count)
    lengths.append(Int32(clamping: terms.length))
    for (term, frequency) in terms.weights {
      entries.append(Entry(term: code(term), service: service, frequency: frequency))
    }
    for term in terms.sequence { sequence.append(term.isEmpty ? -1 : code(term)) }
    sequenceStarts.append(UInt64(sequence.count))
    for word in terms.words { wordCounts[word, default: 0] += 1 }
    for (term, impact) in terms.learned where impact > 0 {
      learned[term, default: []].append((UInt32(service), impact))
    }
  }

  private mutating func code(_ term: String) -> Int32 {
    if let known = codes[term] { return known }
    let code = Int32(terms.count)
    codes[term] = code
    terms.append(term)
    return code
  }

  /// Tokens a service on average.
  var averageLength: Float {
    guard !lengths.isEmpty else { return 100 }
    return max(Float(lengths.reduce(0) { $0 + Int($1) }) / Float(lengths.count), 1)
  }

  /// Writes terms in order, and for each its services, rising, with the saturated frequency (BM25 without idf).
  ///
  /// Learnt terms have postings of their own: how rare a word is, and who is excluded by it, stays a matter of what
  /// the listings say. Terms that no listing has, here or in `base`, are left out.
  func write(
    to sink: inout some SectionSink, averageLength: Float, beside base: Segment?,
    _ configuration: RankingConfiguration
  ) throws {
    try writeLearned(to: &sink, beside: base)
    let (table, order) = TextTableBuilder.sorted(terms)
    var rank = [Int32](repeating: 0, count: terms.count)
    for (place, code) in order.enumerated() { rank[code] = Int32(place) }
    // A counting sort by term: entries come in rising order of service and stay so.
    var starts = [UInt32](repeating: 0, count: terms.count + 1)
    for entry in entries { starts[Int(rank[Int(entry.term)]) + 1] += 1 }
    for index in 1..<max(starts.count, 1) { starts[index] += starts[index - 1] }
    var next = starts
    var services = [UInt32](repeating: 0, count: entries.count)
    var impacts = [Float](repeating: 0, count: entries.count)
    let k1 = configuration.k1
    for entry in entries {
      let term = Int(rank[Int(entry.term)])
      let length = Float(lengths[Int(entry.service)])
      let norm = k1 * (1 - configuration.b + configuration.b * length / averageLength)
      let place = Int(next[term])
      services[place] = UInt32(entry.service)
      impacts[place] = entry.frequency * (k1 + 1) / (entry.frequency + norm)
      next[term] += 1
    }
    try sink.add("term", table)
    try sink.add("term/slots", TextHashes.slots(of: table), isStructure: true)
    try sink.add("posting/starts", starts, isStructure: true)
    try sink.add("posting/services", services, isStructure: true)
    try sink.add("posting/impacts", impacts, isStructure: false)
    try sink.add("sequence/starts", sequenceStarts, isStructure: true)
    try sink.add(
      "sequence/terms", sequence.map { $0 < 0 ? -1 : rank[Int($0)] }, isStructure: false)
    let (words, wordOrder) = TextTableBuilder.sorted(Array(wordCounts.keys))
    let all = Array(wordCounts.values)
    try sink.add("word", words)
    try sink.add("word/counts", wordOrder.map { all[$0] }, isStructure: false)
  }

  private func writeLearned(to sink: inout some SectionSink, beside base: Segment?) throws {
    let known = learned.keys.filter { codes[$0] != nil || base?.place(ofTerm: $0) != nil }
    let (table, order) = TextTableBuilder.sorted(known)
    var starts: [UInt32] = [0]
    var services: [UInt32] = []
    var impacts: [Float] = []
    for number in order {
      for entry in learned[known[number]] ?? [] {
        services.append(entry.service)
        impacts.append(entry.impact)
      }
      starts.append(UInt32(services.count))
    }
    try sink.add("learned", table)
    try sink.add("learned/starts", starts, isStructure: true)
    try sink.add("learned/services", services, isStructure: true)
    try sink.add("learned/impacts", impacts, isStructure: false)
  }
}
