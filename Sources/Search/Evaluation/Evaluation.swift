package import Catalog
package import Embedding
package import Primitives

/// Runs judged needs against a catalog held in memory, for text only, vectors only and both.
package struct Evaluation {
  /// One judged need.
  package struct Need: Sendable {
    package let id: String
    package let query: String
    package let queryClass: String

    package init(id: String, query: String, queryClass: String) {
      self.id = id
      self.query = query
      self.queryClass = queryClass
    }
  }

  /// The figures of one leg.
  package struct Figures: Sendable {
    package let leg: String
    package let ndcg10: Double
    package let interval: (low: Double, high: Double)
    package let recall10: Double
    package let recall50: Double
    package let reciprocalRank: Double
    package let precision10: Double
    package let zeroHitRate: Double
    package let byClass: [String: Double]

    package var json: JSON {
      [
        "leg": .string(leg), "ndcg10": .double(rounded(ndcg10)),
        "low": .double(rounded(interval.low)), "high": .double(rounded(interval.high)),
        "recall10": .double(rounded(recall10)), "recall50": .double(rounded(recall50)),
        "mrr": .double(rounded(reciprocalRank)), "precision10": .double(rounded(precision10)),
        "zeroHitRate": .double(rounded(zeroHitRate)),
        "byClass": .object(
          byClass.sorted { $0.key < $1.key }.reduce(into: [:]) {
            $0[$1.key] = .double(rounded($1.value))
          }),
      ]
    }

    private func rounded(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }
  }

  private let snapshot: Snapshot
  private let engine: SearchEngine

  /// Prepares services; embeds them where there is an encoder.
  package init(services: [Service], encoder: Encoder?, at now: Timestamp, ranking: String? = nil)
    throws
  {
    let configuration = ranking.map { RankingConfiguration(text: $0) } ?? .shipped
    let analyzer = try Analyzer(weights: configuration.fields)
    let texts = services.map(Analyzer.embeddingText(of:))
    let vectors = encoder?.vectors(of: texts)
    let prepared = services.enumerated().map { index, service in
      PreparedService(
        stored: StoredService(
          service: service, revision: 1, createdAt: now, updatedAt: now, isProviderVerified: false),
        terms: analyzer.terms(of: service), vector: vectors?[index])
    }
    let segment = try Segment.inMemory(prepared, configuration: configuration)
    snapshot = Snapshot(
      segments: [segment], live: [Bitset(count: segment.count, filled: true)], revision: 1,
      generation: "evaluation", configuration: configuration)
    engine = SearchEngine(encoder: .init(encoder: encoder), microseconds: { 0 })
  }

  /// The ranking of one need: ids of the first 50 hits.
  package func ranking(_ query: String, semantic: Double?) throws -> [String] {
    var request = SearchRequest()
    request.query = query
    request.limit = 50
    request.semantic = semantic
    return try engine.search(request, on: snapshot).hits.map(\.id)
  }

  /// The figures of the three legs over the needs.
  package func figures(
    _ needs: [Need], _ judgements: [String: [String: Int]]
  ) throws -> [Figures] {
    let legs: [(String, Double?)] = [("text", 0), ("vectors", 1), ("fused", nil)]
    return try legs.map { name, semantic in
      var rankings: [(need: Need, ranking: [String], grades: [String: Int])] = []
      for need in needs {
        guard let grades = judgements[need.id] else { continue }
        rankings.append((need, try ranking(need.query, semantic: semantic), grades))
      }
      return figures(of: name, rankings)
    }
  }

  private func figures(
    of leg: String, _ rankings: [(need: Need, ranking: [String], grades: [String: Int])]
  ) -> Figures {
    func mean(_ measure: ([String], [String: Int]) -> Double) -> Double {
      rankings.reduce(0) { $0 + measure($1.ranking, $1.grades) } / Double(max(rankings.count, 1))
    }
    let ndcg = rankings.map { Measures.ndcg10($0.ranking, $0.grades) }
    var classes: [String: [Double]] = [:]
    for (entry, value) in zip(rankings, ndcg) {
      classes[entry.need.queryClass, default: []].append(value)
    }
    return Figures(
      leg: leg, ndcg10: mean(Measures.ndcg10), interval: Measures.interval(ndcg),
      recall10: mean { Measures.recall($0, $1, at: 10) },
      recall50: mean { Measures.recall($0, $1, at: 50) },
      reciprocalRank: mean(Measures.reciprocalRank), precision10: mean(Measures.precision10),
      zeroHitRate: mean { ranking, _ in ranking.isEmpty ? 1 : 0 },
      byClass: classes.mapValues { $0.reduce(0, +) / Double($0.count) })
  }
}
