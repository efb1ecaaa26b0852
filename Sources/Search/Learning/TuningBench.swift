package import LinearAlgebra
internal import Primitives

/// A need with the services that are right for it: what tuning learns from and is measured on.
package struct TuningNeed: Sendable, Equatable {
  package let id: String
  package let text: String
  /// 0...3 by service.
  package let grades: [String: Int]
  /// How much each service weighs beside the others of the need, above zero.
  package let weights: [String: Double]
  /// How much the need weighs in training, 0...1.
  package var rowWeight = 1.0
  /// Who chose, where it comes from feedback; nil for judged needs, which are trusted.
  package var actor: String?
  /// The provider of the one service that was chosen, where it comes from feedback.
  package var providerID: String?

  package init(id: String, text: String, grades: [String: Int], weights: [String: Double]) {
    self.id = id
    self.text = text
    self.grades = grades
    self.weights = weights
  }
}

/// A need's scores before they are fused.
package struct TuningLegs: Sendable {
  package let queryClass: RankingConfiguration.QueryClass
  /// What either leg has found; a hundred of each are enough for the first ten.
  package let candidates: [FusionTrainer.Candidate]

  package init(
    queryClass: RankingConfiguration.QueryClass, candidates: [FusionTrainer.Candidate]
  ) {
    self.queryClass = queryClass
    self.candidates = candidates
  }
}

/// The engine over one catalog, as tuning uses it: with the shipped ranking, or with a tuned model in its place.
package protocol TuningBench: Sendable {
  /// The embedding model's id.
  var modelID: String { get }
  /// Ids of the services, in the order of the rows of `serviceVectors`.
  var serviceIDs: [String] { get }
  /// The weights of the shipped ranking.
  var weights: FusionTrainer.Weights { get }
  /// The search terms of a text, as the text index cuts it.
  func terms(of text: String) -> [String]
  /// The inverse document frequency of a term, nil where no service has it.
  func idf(_ term: String) -> Float?
  /// One unit row a service, centred, as an adapter takes it; nil without a model.
  func serviceVectors() async throws -> Matrix?
  /// One unit row a need, centred, as an adapter takes it; nil without a model.
  func needVectors(of texts: [String]) async throws -> Matrix?
  /// The leg scores of needs; the model's own fusion weights do not matter here.
  func legs(of needs: [TuningNeed], under model: TunedModel?) async throws -> [TuningLegs]
  /// Ids of the first so many services of each need through the whole search.
  func rankings(
    of needs: [TuningNeed], under model: TunedModel?, count: Int
  ) async throws -> [[String]]
}

extension TuningBench {
  /// nDCG@10 of each need through the whole search.
  package func ndcg(of needs: [TuningNeed], under model: TunedModel?) async throws -> [Double] {
    zip(needs, try await rankings(of: needs, under: model, count: 10)).map {
      Measures.ndcg10($1, $0.grades)
    }
  }
}

/// Needs to tune by, from files or from feedback.
package enum TuningNeeds {
  /// What could not be read.
  package struct Fault: Error, Equatable {
    /// From 1.
    package let line: Int
    package let reason: String
  }

  /// Needs of `{"qid", "query"}` lines with their TREC judgements; those without a right service are left out.
  package static func judged(
    queries: [String], qrels: [String]
  ) throws(Fault) -> [TuningNeed] {
    var grades: [String: [String: Int]] = [:]
    for (index, line) in qrels.enumerated() where !line.allSatisfy(\.isWhitespace) {
      let cells = line.split { $0 == "\t" || $0 == " " }
      guard cells.count == 4, let grade = Int(cells[3]), (-1...10).contains(grade) else {
        throw Fault(line: index + 1, reason: "a judgement is: need, 0, service, grade up to 10")
      }
      grades[String(cells[0]), default: [:]][String(cells[2])] = max(grade, 0)
    }
    var needs: [TuningNeed] = []
    for (index, line) in queries.enumerated() where !line.allSatisfy(\.isWhitespace) {
      guard let row = try? JSON.parse(line), let id = row["qid"]?.string,
        let text = row["query"]?.string
      else { throw Fault(line: index + 1, reason: "a need is an object with qid and query") }
      let own = (grades[id] ?? [:]).filter { $0.value > 0 }
      guard !own.isEmpty, !text.isEmpty else { continue }
      let gains = own.mapValues { Double((1 << $0) - 1) }
      let top = gains.values.max() ?? 1
      needs.append(
        TuningNeed(id: id, text: text, grades: own, weights: gains.mapValues { $0 / top }))
    }
    return needs
  }

  /// A need for each pair of feedback, in its actor's own words.
  package static func needs(of pairs: [FeedbackPair]) -> [TuningNeed] {
    pairs.map { pair in
      var need = TuningNeed(
        id: pair.id, text: pair.need, grades: [pair.serviceID: pair.grade],
        weights: [pair.serviceID: 1])
      need.rowWeight = pair.weight
      need.actor = pair.actor
      need.providerID = pair.providerID
      return need
    }
  }

  /// Parts of about one size by the seed; needs with the same terms stay together, so that none is learnt in
  /// one wording and measured in another.
  package static func folds(
    _ needs: [TuningNeed], count: Int, seed: UInt64, terms: (String) -> [String]
  ) -> [[TuningNeed]] {
    let grouped = Dictionary(grouping: needs) { FeedbackPairs.cluster(terms($0.text)) }
    var random = SplitMix64(seed: seed)
    let groups = shuffled(grouped.sorted { $0.key < $1.key }.map(\.value), &random)
    var folds = [[TuningNeed]](repeating: [], count: max(count, 1))
    for group in groups {
      let least = folds.indices.min { (folds[$0].count, $0) < (folds[$1].count, $1) } ?? 0
      folds[least] += group
    }
    return folds
  }
}
