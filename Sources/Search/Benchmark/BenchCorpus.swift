package import Catalog
internal import Primitives

/// As many services as a benchmark wants, out of real ones: each once in a seeded order, then again and again
/// with a quarter of the words of its description changed. Ids are numbers, so that they rise.
package struct BenchCorpus: Sendable {
  /// The real services, in their seeded order.
  package let templates: [Service]
  private let words: [Substring]
  private let seed: UInt64

  /// Of a description as much stays in a copy.
  private static let copiedCharacterMax = 1_200

  /// - Parameter services: At least one.
  package init(_ services: [Service], seed: UInt64 = 1) {
    precondition(!services.isEmpty, "a corpus of no services")
    var random = SplitMix64(seed: seed)
    templates = services.shuffled(using: &random)
    let words = templates.prefix(5_000).flatMap {
      ($0.text("description") ?? "").split(whereSeparator: \.isWhitespace).prefix(20)
    }
    self.words = words.isEmpty ? ["service"] : words
    self.seed = seed
  }

  /// The template of a service.
  package func template(of index: Int) -> Service { templates[index % templates.count] }

  /// A service by its number; the same number gives the same service.
  /// - Throws: `Refusal` where the changed listing is none, which its limits do not let happen.
  package func service(_ index: Int) throws -> Service {
    let template = template(of: index)
    var document = template.document
    if index >= templates.count, let text = template.text("description") {
      document["description"] = .string(changed(text, index))
    }
    return try Service.read(document, id: BenchCorpus.id(index))
  }

  /// `bench-` and eight digits.
  package static func id(_ index: Int) -> String {
    "bench-" + String(100_000_000 + index).dropFirst()
  }

  private func changed(_ text: String, _ index: Int) -> String {
    var random = SplitMix64(seed: seed ^ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
    return text.prefix(BenchCorpus.copiedCharacterMax).split(whereSeparator: \.isWhitespace)
      .map { word in
        let roll = random.next()
        return roll & 3 == 0 ? words[Int((roll >> 2) % UInt64(words.count))] : word
      }.joined(separator: " ")
  }
}
