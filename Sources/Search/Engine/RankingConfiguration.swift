internal import Index
internal import Primitives

/// The numbers that ranking is made of, from `Index/ranking.json`.
public struct RankingConfiguration: Sendable {
  /// Weights of fields in the text leg.
  public struct FieldWeights: Sendable {
    var name: Float
    var tagline: Float
    var labels: Float
    var provider: Float
    var body: Float
    var bodyCharacterMax: Int
  }

  /// The quality prior: what it is made of, and how far it reaches.
  public struct Quality: Sendable {
    /// Hits whose scores lie in one range of this width are ordered by the prior; 0 leaves it out.
    var bucket: Float
    var ratingWeight: Float
    /// The usual rating.
    var ratingMean: Float
    /// So many reviews weigh as much as the usual rating.
    var reviews: Float
    var uptimeWeight: Float
    /// The uptime in percent that is neither good nor bad, and the one that is as bad as any below.
    var uptimeUsual: Float
    var uptimeWorst: Float

    /// What the stored prior is made of.
    var buildText: String {
      "\(ratingWeight) \(ratingMean) \(reviews) \(uptimeWeight) \(uptimeUsual) \(uptimeWorst)"
    }
  }

  /// The classes of queries that have a mix of their own.
  public enum QueryClass: String, Sendable, CaseIterable {
    case name, keywords, sentence, task
  }

  let fields: FieldWeights
  let k1: Float
  let b: Float
  /// What a point of BM25 is worth beside a cosine: `base`, more for needs of fewer than `terms` terms, up to `max`.
  let textFactor: (base: Float, max: Float, terms: Float)
  /// The best so many, after filters, are scored again by sentences and pairs of words;
  let rescoredCount: Int
  /// by so many sentences at most,
  let sentenceMax: Int
  /// and with this weight of a pair.
  let pairWeight: Float
  /// Balance of the legs by class: 0 is text alone, 1 vectors alone, at 0.5 both count whole.
  private(set) var vectorShare: [QueryClass: Float]
  /// Cosine from which a service belongs to the result set on meaning alone.
  let cosineCut: Float
  /// Share of a query's term weight from which a service belongs to the set on text alone.
  let textShare: Float
  /// How many of the best of each leg belong to the set in any case.
  let setFloor: Int
  /// What a term that a marketplace has learnt for a service is worth beside one of the listing's own.
  let learnedWeight: Float
  /// Added where the query is the service's very name or id.
  let nameBonus: Float
  let quality: Quality

  /// The number of the range of scores in which the quality prior may decide; a score of its own without ranges.
  func bucket(of score: Float) -> Float {
    quality.bucket > 0 ? (score / quality.bucket).rounded(.down) : score
  }

  /// What a point of BM25 is worth for a need of so many distinct terms: the fewer, the more each says.
  func textFactor(termCount: Int) -> Float {
    min(textFactor.max, textFactor.base * max(1, textFactor.terms / Float(max(termCount, 1))))
  }

  /// What a segment is built with: other numbers make other impacts.
  var buildText: String { "\(fields) \(k1) \(b) \(quality.buildText)" }

  /// The shipped configuration.
  public static let shipped = RankingConfiguration(text: IndexFiles.ranking)

  /// Reads a configuration; absent numbers take the built-in value.
  init(text: String) {
    let json = (try? JSON.parse(text)) ?? [:]
    func number(_ path: String..., default fallback: Double) -> Double {
      var value: JSON? = json
      for key in path { value = value?[key] }
      return value?.double ?? fallback
    }
    fields = FieldWeights(
      name: Float(number("fields", "name", default: 4)),
      tagline: Float(number("fields", "tagline", default: 2)),
      labels: Float(number("fields", "labels", default: 2)),
      provider: Float(number("fields", "provider", default: 2)),
      body: Float(number("fields", "body", default: 1)),
      bodyCharacterMax: Int(number("fields", "bodyCharacterMax", default: 1_500)))
    k1 = Float(number("bm25", "k1", default: 1.2))
    b = Float(number("bm25", "b", default: 0.75))
    var shares: [QueryClass: Float] = [:]
    for name in QueryClass.allCases {
      shares[name] = Float(number("vectorShare", name.rawValue, default: 0.5))
    }
    vectorShare = shares
    cosineCut = Float(number("cosineCut", default: 0.3))
    textFactor = (
      Float(number("textFactor", "base", default: 0.02)),
      Float(number("textFactor", "max", default: 0.06)),
      Float(number("textFactor", "terms", default: 8))
    )
    rescoredCount = Int(number("rescored", "count", default: 100))
    sentenceMax = Int(number("rescored", "sentences", default: 4))
    pairWeight = Float(number("rescored", "pair", default: 1))
    textShare = Float(number("textShare", default: 0.5))
    setFloor = Int(number("setFloor", default: 200))
    nameBonus = Float(number("nameBonus", default: 10))
    learnedWeight = Float(number("learnedTerms", default: 0.5))
    func quality(_ name: String, default fallback: Double) -> Float {
      Float(max(0, number("quality", name, default: fallback)))
    }
    self.quality = Quality(
      bucket: quality("bucket", default: 0.02), ratingWeight: quality("rating", default: 0.6),
      ratingMean: quality("ratingMean", default: 4), reviews: quality("reviews", default: 10),
      uptimeWeight: quality("uptime", default: 0.4),
      uptimeUsual: quality("uptimeUsual", default: 99),
      uptimeWorst: quality("uptimeWorst", default: 90))
  }

  /// The same with class weights that a marketplace has learnt.
  func tuned(by weights: FusionTrainer.Weights?) -> RankingConfiguration {
    var copy = self
    for (name, share) in weights?.vectorShare ?? [:] { copy.vectorShare[name] = share }
    return copy
  }
}
