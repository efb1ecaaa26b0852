internal import Catalog
package import Embedding
internal import Primitives
internal import Synchronization

/// Answers searches over one snapshot. Pure: the same request on the same snapshot gives the same answer.
package struct SearchEngine: Sendable {
  /// Turns a query into its vector; nil where there is no model. Remembers the last thousand queries.
  package struct QueryEncoder: Sendable {
    private let embedder: TextEmbedder?
    private let cache: Cache

    package init(encoder: Encoder?) {
      self.init(embedder: encoder.map(TextEmbedder.init(encoder:)))
    }

    /// - Parameter embedder: Gives the vectors of queries; nil for none.
    package init(embedder: TextEmbedder?) {
      self.embedder = embedder
      cache = Cache()
    }

    /// The vectors of a need and of its parts, in their order.
    package func vectors(of texts: [String]) -> [[Float]]? {
      guard let embedder, !texts.isEmpty else { return nil }
      let known = cache.entries.withLock { entries in texts.map { entries[$0] } }
      let missing = texts.indices.filter { known[$0] == nil }
      guard !missing.isEmpty else { return known.compactMap(\.self) }
      let fresh = embedder.vectors(missing.map { texts[$0] })
      guard fresh.count == missing.count else { return nil }
      var vectors = known.map { $0 ?? [] }
      for (place, vector) in zip(missing, fresh) { vectors[place] = vector }
      cache.entries.withLock { entries in
        if entries.count >= 1_024 { entries.removeAll(keepingCapacity: true) }
        for (place, vector) in zip(missing, fresh) { entries[texts[place]] = vector }
      }
      return vectors
    }

    private final class Cache: Sendable {
      let entries = Mutex<[String: [Float]]>([:])
    }
  }

  private let encoder: QueryEncoder
  private let pool = ScratchPool()
  private let microseconds: @Sendable () -> Int64

  /// - Parameter microseconds: A rising clock for the timings of stages.
  package init(encoder: QueryEncoder, microseconds: @escaping @Sendable () -> Int64) {
    self.encoder = encoder
    self.microseconds = microseconds
  }

  /// The answer to a request on a snapshot.
  /// - Throws: `Refusal` where the request asks for what is not there.
  package func search(_ request: SearchRequest, on snapshot: Snapshot) throws -> SearchAnswer {
    try pool.with { scratch in
      var run = SearchRun(request, snapshot, encoder, scratch, microseconds)
      return try run.answer()
    }
  }
}

/// The state of one search, stage by stage.
struct SearchRun {
  let request: SearchRequest
  let snapshot: Snapshot
  let encoder: SearchEngine.QueryEncoder
  let microseconds: @Sendable () -> Int64
  let scratch: SearchScratch
  var output = SearchAnswer()
  private var stageStart: Int64

  init(
    _ request: SearchRequest, _ snapshot: Snapshot, _ encoder: SearchEngine.QueryEncoder,
    _ scratch: SearchScratch, _ microseconds: @escaping @Sendable () -> Int64
  ) {
    self.request = request
    self.snapshot = snapshot
    self.encoder = encoder
    self.microseconds = microseconds
    self.scratch = scratch
    stageStart = microseconds()
  }

  var analyzer: Analyzer { scratch.analyzer }

  mutating func answer() throws -> SearchAnswer {
    output.revision = snapshot.revision
    output.generation = snapshot.generation
    output.snapshot = snapshot
    output.filter = request.filter
    let understanding = understand()
    finish("understand")
    let vectors = queries(understanding)
    if !understanding.text.isEmpty, vectors.isEmpty || !snapshot.hasVectors {
      output.degraded = ["vectors"]
    }
    finish("embed")
    let relevance = score(understanding, vectors)
    finish("score")
    var conditions = conditionSets(understanding)
    let demoted = demote(&conditions, relevance)
    let rows = conditions.all(in: snapshot, within: relevance.matching)
    let matching = zip(snapshot.segments, rows).map {
      FilterEvaluator(segment: $0).services(of: $1)
    }
    output.total = matching.reduce(0) { $0 + $1.population }
    finish("filter")
    output.facets = try facets(conditions, relevance, rows: rows)
    finish("facets")
    try rank(matching, rows, relevance)
    finish("rank")
    let relaxing = Relaxing(
      snapshot: snapshot, conditions: conditions, relevant: relevance.matching, rows: rows,
      found: matching)
    output.relaxations = relaxing.relaxations(demoted: demoted)
    finish("relax")
    return output
  }

  private mutating func finish(_ stage: String) {
    let now = microseconds()
    output.took.append((stage, now - stageStart))
    stageStart = now
  }

  private mutating func understand() -> Understanding {
    let reader = QueryReader(snapshot: snapshot)
    // A name may hold a word of the lexicon ("Free Dictionary"): the very name is never taken apart.
    let isName = !namedPlaces(request.query).isEmpty
    var understanding = reader.read(
      request.query, understanding: request.understands && !isName, ignoring: request.ignored)
    output.isCut = understanding.isCut
    // Explicit filters win: a condition read out of the text yields to one on the same field.
    let explicit = request.filter?.subjects ?? []
    understanding.constraints.removeAll { !$0.expression.subjects.isDisjoint(with: explicit) }
    output.understood = understanding.constraints
    output.notes = understanding.notes
    return understanding
  }

  /// What is compared with the services: the need, then its sentences, in the base's space.
  private func queries(_ understanding: Understanding) -> [[Float]] {
    let space = snapshot.base.space
    if let id = request.like, let place = snapshot.place(of: id) {
      return snapshot.segments[place.segment].vector(place.index).map { [$0] } ?? []
    }
    guard !understanding.text.isEmpty else { return [] }
    let sentences = Sentences.of(understanding.need)
      .prefix(snapshot.configuration.sentenceMax)
    return (encoder.vectors(of: [understanding.need] + sentences) ?? []).map(space.query)
  }

  private mutating func score(_ understanding: Understanding, _ vectors: [[Float]]) -> Relevance {
    var relevance = Relevance()
    if let id = request.like, let place = snapshot.place(of: id) {
      relevance = alike(place, vectors)
    } else if !understanding.text.isEmpty {
      var expansion = TermExpansion(snapshot: snapshot, analyzer: analyzer)
      let terms = expansion.terms(of: understanding.text, isPrefix: request.isPrefix)
      output.queryClass = queryClass(understanding)
      let learnt = snapshot.configuration.vectorShare[output.queryClass] ?? 0.5
      let balance = request.semantic.map { Float($0) } ?? learnt
      relevance = Scorer(snapshot: snapshot, scratch: scratch)
        .relevance(of: terms, query: vectors.first, balance: balance)
      relevance.sentences = Array(vectors.dropFirst())
      relevance.pairs = PairBonus(
        terms, sequence: expansion.sequence, stopTerms: scratch.stopTerms)
      output.didYouMean = suggestion(understanding.text, expansion.corrections)
      relevance.named = namedPlaces(understanding.text)
      for place in relevance.named { relevance.add(place) }
    } else {
      relevance.matching = snapshot.live
    }
    exclude(understanding, from: &relevance)
    return relevance
  }

  /// Services like one: near its vector, or with its rarest terms.
  private func alike(_ place: Place, _ vectors: [[Float]]) -> Relevance {
    let segment = snapshot.segments[place.segment]
    let stops = Set(scratch.stopTerms)
    var terms: [String: Float] = [:]
    for code in Set(segment.sequence(place.index)) where code >= 0 {
      let term = segment.terms.text(Int(code))
      if !stops.contains(term) { terms[term] = snapshot.idf(term) }
    }
    let rarest = terms.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(16)
    var relevance = Scorer(snapshot: snapshot, scratch: scratch).relevance(
      of: rarest.map { QueryTerm(alternatives: [.init(text: $0.key, factor: 1)], idf: $0.value) },
      query: vectors.first, balance: request.semantic.map { Float($0) } ?? 0.5)
    relevance.matching[place.segment][place.index] = false
    return relevance
  }

  private func queryClass(_ understanding: Understanding) -> RankingConfiguration.QueryClass {
    if !namedPlaces(understanding.text).isEmpty { return .name }
    if !understanding.constraints.isEmpty { return .task }
    let words = understanding.text.split(separator: " ")
    let hasStopWord = words.contains { Analyzer.stopWords.contains($0.lowercased()) }
    return words.count <= 4 && !hasStopWord ? .keywords : .sentence
  }

  private func namedPlaces(_ text: String) -> Set<Place> {
    Set(snapshot.places(named: Segment.fold(text)))
  }

  private func suggestion(_ text: String, _ corrections: [String: String]) -> String? {
    guard !corrections.isEmpty else { return nil }
    let words = text.split(separator: " ").map { word in
      corrections[word.lowercased()] ?? String(word)
    }
    let changed = words.joined(separator: " ")
    return changed == text ? nil : changed
  }

  /// Leaves out services with an excluded word or without a quoted phrase.
  private func exclude(_ understanding: Understanding, from relevance: inout Relevance) {
    for word in understanding.exclusions {
      let terms = analyzer.queryTerms(word)
      for (number, segment) in snapshot.segments.enumerated() {
        var all: Bitset?
        for term in terms {
          let services = segment.services(withTerm: term)
          all = all?.intersection(services) ?? services
        }
        if let all { relevance.matching[number].subtract(all) }
      }
    }
    for phrase in understanding.phrases { keepPhrase(phrase, in: &relevance) }
  }

  /// Keeps services that have the phrase. One that stands nowhere is somebody's data and no condition.
  private func keepPhrase(_ phrase: String, in relevance: inout Relevance) {
    let wanted = analyzer.ranges(phrase).map(\.token)
    guard !wanted.isEmpty else { return }
    let kept = snapshot.segments.enumerated().map { number, segment in
      var kept = Bitset(count: segment.count)
      var candidates = relevance.matching[number]
      for term in wanted {
        candidates.formIntersection(segment.services(withTerm: term))
      }
      candidates.forEach { index in
        let texts = HighlightText.texts(of: segment.document(index))
        if texts.contains(where: { contains(wanted, in: $0.text) }) { kept.insert(index) }
      }
      return kept
    }
    if kept.contains(where: { $0.population > 0 }) { relevance.matching = kept }
  }

  private func contains(_ wanted: [String], in text: String) -> Bool {
    let tokens = analyzer.ranges(text).map(\.token)
    guard tokens.count >= wanted.count else { return false }
    return (0...(tokens.count - wanted.count)).contains {
      tokens[$0..<$0 + wanted.count].elementsEqual(wanted)
    }
  }
}
