internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// A question with its chips.
struct Question: Sendable {
  let id: String
  let field: String
  let text: String
  let options: [String]
  /// The information that the answer is expected to give, in bits.
  let bits: Double

  func json(why: String, any: String) -> JSON {
    [
      "questionId": .string(id), "field": .string(field), "text": .string(text),
      "options": .array(options.map { ["value": .string($0), "label": .string($0)] }),
      "any": .string(any), "bits": .double((bits * 1_000).rounded() / 1_000), "why": .string(why),
    ]
  }
}

/// Chooses the question that is worth most: the expected information gain of chat.md section 3.
///
/// Answer model: P(a|i) = (1 - epsilon) [i has a] / |values of i| + epsilon / |V|; a share of users does not know.
/// Sources: CORE (arXiv 2310.04230), IDSS (arXiv 2603.11399).
struct QuestionChooser {
  static let epsilon = 0.1
  static let unsure = 0.2
  static let temperature = 0.08
  static let bitsMin = 0.35
  static let topShareMax = 0.6

  /// How useful a field's answer is to people, and how hard the question is; the order breaks ties.
  static let fields: [(name: String, relevance: Double, cost: Double)] = [
    ("categories", 1.0, 0.1), ("outputModalities", 0.9, 0.1), ("inputModalities", 0.8, 0.1),
    ("kind", 0.8, 0.1), ("plan", 0.8, 0.1), ("openWeights", 0.6, 0.1), ("modelFamily", 0.45, 0.2),
    ("authType", 0.4, 0.2), ("provider", 0.35, 0.2),
  ]

  let wording: Wording

  /// The best question, or nil where none is worth asking.
  func choose(
    _ candidates: [Candidate], asked: [String], constrained: Set<String>, id: String
  ) -> Question? {
    guard asked.count < 3, candidates.count > 3 else { return nil }
    let weights = softmax(candidates.map(\.score))
    guard (weights.max() ?? 1) < QuestionChooser.topShareMax else { return nil }
    var best: (question: Question, utility: Double)?
    for field in QuestionChooser.fields
    where !asked.contains(field.name) && !constrained.contains(field.name) {
      guard let text = wording.question(field.name) else { continue }
      let gain = gain(of: field.name, candidates, weights)
      let expected = gain.bits * gain.covered * (1 - QuestionChooser.unsure)
      let options = gain.options
      guard expected >= QuestionChooser.bitsMin, options.count >= 2 else { continue }
      let utility = expected * field.relevance - 0.1 * field.cost
      if best.map({ utility > $0.utility }) ?? true {
        let question = Question(
          id: id, field: field.name, text: text, options: options, bits: expected)
        best = (question, utility)
      }
    }
    return best?.question
  }

  private func softmax(_ scores: [Double]) -> [Double] {
    let top = scores.max() ?? 0
    let raw = scores.map { exp(($0 - top) / QuestionChooser.temperature) }
    let sum = raw.reduce(0, +)
    return raw.map { $0 / sum }
  }

  /// Expected gain in bits over the answers; the values that carry most weight, as options; and how much of
  /// the weight these options cover: a question whose answer has no chip is worth less.
  private func gain(
    of field: String, _ candidates: [Candidate], _ weights: [Double]
  ) -> (bits: Double, options: [String], covered: Double) {
    let values = candidates.map { $0.values(field) ?? ["not stated"] }
    var mass: [String: Double] = [:]
    for (index, own) in values.enumerated() {
      for value in own { mass[value, default: 0] += weights[index] / Double(own.count) }
    }
    let ranked = mass.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
    let options = ranked.filter { $0 != "not stated" }.prefix(5)
    guard ranked.count >= 2 else { return (0, [], 0) }
    var conditional = 0.0
    for answer in ranked {
      let joint = values.enumerated().map { index, own in
        let has = own.contains(answer) ? (1 - QuestionChooser.epsilon) / Double(own.count) : 0
        return weights[index] * (has + QuestionChooser.epsilon / Double(ranked.count))
      }
      let total = joint.reduce(0, +)
      if total > 0 { conditional += total * entropy(joint.map { $0 / total }) }
    }
    let covered = (options + ["not stated"]).reduce(0) { $0 + (mass[$1] ?? 0) }
    return (max(0, entropy(weights) - conditional), Array(options), min(covered, 1))
  }

  private func entropy(_ distribution: [Double]) -> Double {
    distribution.reduce(0) { $1 > 0 ? $0 - $1 * log2($1) : $0 }
  }
}
