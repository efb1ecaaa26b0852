import LinearAlgebra
import Primitives
import Search

/// A marketplace with a known secret. Half of a need's dimensions are noise, which a map can learn to leave
/// out; and half of its words are slang that no listing has, which learnt terms can know.
struct LearningWorld: TuningBench {
  static let dimension = 16
  let modelID = "test-model"
  let serviceIDs: [String]
  let weights: FusionTrainer.Weights
  let needs: [TuningNeed]
  private let services: Matrix
  private let vectors: [String: [Float]]

  /// - Parameters:
  ///   - hasVectors: Without them the world has words only.
  ///   - isReversed: The other half of the dimensions is noise.
  ///   - isHopeless: Needs say nothing of what is right for them.
  init(
    serviceCount: Int = 60, needsPerService: Int = 4, seed: UInt64 = 1, hasVectors: Bool = true,
    isHopeless: Bool = false, isReversed: Bool = false
  ) {
    var random = SplitMix64(seed: seed)
    // A reversed world is another marketplace: no term learnt for a service is for one of its own.
    func name(_ service: Int) -> String { (isReversed ? "r" : "s") + String(service) }
    let half = LearningWorld.dimension / 2
    var rows = Matrix(columnCount: LearningWorld.dimension)
    for _ in 0..<serviceCount {
      rows.append(LearningWorld.unit((0..<2 * half).map { _ in random.normal() }))
    }
    var vectors: [String: [Float]] = [:]
    var needs: [TuningNeed] = []
    for service in 0..<serviceCount {
      for number in 0..<needsPerService {
        let source = rows.row(isHopeless ? random.below(serviceCount) : service)
        let vector = source.enumerated().map { index, value in
          (index < half) != isReversed ? 2 * random.normal() / Float(half).squareRoot() : value
        }
        let word = isHopeless ? "noise\(random.below(1_000))" : "slang\(service)"
        let text = "need\(service)x\(number) \(word)"
        vectors[text] = LearningWorld.unit(vector)
        let id = name(service)
        needs.append(
          TuningNeed(id: "q\(service)-\(number)", text: text, grades: [id: 1], weights: [id: 1]))
      }
    }
    serviceIDs = (0..<serviceCount).map(name)
    services = rows
    self.vectors = hasVectors ? vectors : [:]
    self.needs = needs
    weights = FusionTrainer.Weights(vectorShare: [
      .name: 0.5, .keywords: 0.5, .sentence: 0.5, .task: 0.5,
    ])
  }

  func terms(of text: String) -> [String] { text.split(separator: " ").map(String.init) }

  func idf(_ term: String) -> Float? { 0 }

  func serviceVectors() async throws -> Matrix? { vectors.isEmpty ? nil : services }

  func needVectors(of texts: [String]) async throws -> Matrix? {
    guard !vectors.isEmpty else { return nil }
    var rows = Matrix(columnCount: LearningWorld.dimension)
    for text in texts { rows.append(vectors[text] ?? []) }
    return rows
  }

  func legs(of needs: [TuningNeed], under model: TunedModel?) async throws -> [TuningLegs] {
    let map = model?.adapter ?? .identity(LearningWorld.dimension)
    let mapped = map.applied(to: services)
    return needs.map { need in
      let cosines = vectors[need.text].map { mapped.products(with: map.applied(to: $0)) }
      let own = terms(of: need.text)
      let candidates = serviceIDs.enumerated().map { index, id in
        let learnt = model?.terms.weights[id] ?? [:]
        return FusionTrainer.Candidate(
          serviceID: id, text: own.reduce(0) { $0 + (learnt[$1] ?? 0) },
          vector: cosines?[index] ?? 0)
      }
      return TuningLegs(queryClass: .sentence, candidates: candidates)
    }
  }

  func rankings(
    of needs: [TuningNeed], under model: TunedModel?, count: Int
  ) async throws -> [[String]] {
    let used = model?.weights ?? weights
    return try await legs(of: needs, under: model).map { legs in
      let factors = FusionTrainer.factors(used.vectorShare[legs.queryClass] ?? 0.5)
      let scored = legs.candidates.map { one in
        (one.serviceID, factors.text * one.text + factors.vector * one.vector)
      }
      return scored.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(count).map(\.0)
    }
  }

  static func unit(_ vector: [Float]) -> [Float] {
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return vector.map { $0 / length }
  }
}

extension SplitMix64 {
  /// About a normal number: twelve even ones, less their mean (Irwin and Hall).
  mutating func normal() -> Float {
    (0..<12).reduce(-6) { sum, _ in sum + Float(next() >> 40) / Float(1 << 24) }
  }
}

extension TuningRun.Settings {
  /// A recipe for a world of sixteen dimensions: larger steps, less of them.
  static var small: TuningRun.Settings {
    var settings = TuningRun.Settings()
    settings.foldCount = 3
    settings.adapter.rate = 0.01
    settings.adapter.stepCount = 60
    settings.adapter.batchCount = 64
    settings.terms = LearnedTerms.Settings(less: 0, half: 1)
    return settings
  }
}
