internal import Catalog
internal import SQLite
internal import Index

/// Cuts services and queries into terms: FTS5's tokenizer with stems, identifiers split as well.
final class Analyzer {
  /// Terms of one service: how often, weighted by field, and how many tokens in all.
  struct Terms: Sendable {
    var weights: [String: Float]
    var length: Int
    /// The words as they are written, in lower case.
    var words: Set<String>
    /// The terms in their order, an empty one behind each field.
    var sequence: [String]
    /// What a marketplace has learnt: terms of needs that chose the service, with their impacts.
    var learned: [String: Float] = [:]
  }

  /// A word of a query.
  struct Word: Equatable {
    /// As it is searched.
    let term: String
    /// As it is written, in lower case.
    let written: String
  }

  static let stopWords: Set<String> = Set(
    IndexFiles.stopWords.split(whereSeparator: \.isWhitespace).map(String.init))

  private let tokenizer: Tokenizer
  private let weights: RankingConfiguration.FieldWeights

  init(weights: RankingConfiguration.FieldWeights) throws {
    tokenizer = try Tokenizer()
    self.weights = weights
  }

  func terms(of service: Service) -> Terms {
    var terms = Terms(weights: [:], length: 0, words: [], sequence: [])
    add(service.name, weight: weights.name, to: &terms)
    add(service.text("tagline"), weight: weights.tagline, to: &terms)
    let lists = ["categories", "tags"].compactMap { service.list($0) }.joined()
    let labels = [service.text("modelFamily"), service.text("baseModel")].compactMap { $0 }
    add(Array(lists).joined(separator: " . "), weight: weights.labels, to: &terms)
    add(labels.joined(separator: " . "), weight: weights.labels, to: &terms)
    if !service.providerID.hasPrefix("unclaimed-") {
      add(service.providerName, weight: weights.provider, to: &terms)
    }
    for field in ["does", "useWhen"] { add(service.text(field), weight: weights.body, to: &terms) }
    let body = service.text("description").map { String($0.prefix(weights.bodyCharacterMax)) }
    add(body, weight: weights.body, to: &terms)
    return terms
  }

  private func add(_ text: String?, weight: Float, to terms: inout Terms) {
    guard let text, !text.isEmpty else { return }
    let split = Analyzer.splittingIdentifiers(text)
    let source = Array(split.utf8)
    tokenizer.tokenize(split) { token, range in
      terms.length += 1
      terms.weights[token, default: 0] += weight
      terms.sequence.append(token)
      if range.count <= Analyzer.wordByteMax {
        terms.words.insert(Analyzer.lowercased(source[range]))
      }
    }
    terms.sequence.append("")
  }

  /// The text, and behind it the parts of its camelCase words.
  static func splittingIdentifiers(_ text: String) -> String {
    var parts: [String] = []
    for word in text.split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
      var part = ""
      var pieces: [String] = []
      var previousIsLower = false
      for character in word {
        if character.isUppercase, previousIsLower {
          pieces.append(part)
          part = ""
        }
        part.append(character)
        previousIsLower = character.isLowercase
      }
      if !pieces.isEmpty { parts += pieces + [part] }
    }
    return parts.isEmpty ? text : text + " " + parts.joined(separator: " ")
  }

  /// Longer words are no words that anybody types.
  static let wordByteMax = 40

  private static func lowercased(_ bytes: ArraySlice<UInt8>) -> String {
    if bytes.allSatisfy({ $0 < 0x80 }) {
      return String(decoding: bytes.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }, as: UTF8.self)
    }
    return String(decoding: bytes, as: UTF8.self).lowercased()
  }

  /// The words of free text in their order, stop words left out unless nothing else is there.
  func queryWords(_ text: String) -> [Word] {
    var all: [Word] = []
    let source = Array(text.utf8)
    tokenizer.tokenize(text) { token, range in
      all.append(Word(term: token, written: Analyzer.lowercased(source[range])))
    }
    let kept = all.filter { !Analyzer.stopWords.contains($0.written) }
    return kept.isEmpty ? all : kept
  }

  /// The distinct terms of free text, stop words left out unless nothing else is there.
  func queryTerms(_ text: String) -> [String] {
    var terms: [String] = []
    for word in queryWords(text) where !terms.contains(word.term) { terms.append(word.term) }
    return terms
  }

  /// The terms of the stop words.
  func stopTerms() -> [String] {
    var terms: [String] = []
    for word in Analyzer.stopWords { tokenizer.tokenize(word) { token, _ in terms.append(token) } }
    return Array(Set(terms))
  }

  /// Every token with its byte range.
  func ranges(_ text: String) -> [(token: String, range: Range<Int>)] {
    var output: [(token: String, range: Range<Int>)] = []
    tokenizer.tokenize(text) { output.append(($0, $1)) }
    return output
  }

  /// The text that the model embeds.
  static func embeddingText(of service: Service) -> String {
    var parts = [service.name]
    if let tagline = service.text("tagline") { parts.append(tagline) }
    parts += (service.list("categories") ?? [])
    parts.append((service.list("tags") ?? []).joined(separator: " "))
    if let does = service.text("does") { parts.append(does) }
    if let description = service.text("description") {
      parts.append(String(description.prefix(1_500)))
    }
    return parts.filter { !$0.isEmpty }.joined(separator: ". ")
  }
}
