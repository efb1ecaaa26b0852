import Catalog
import Search

/// What is known of the words of a query without an index: a listing has a word or has it not.
struct ReferenceText {
  /// The words of each service's texts that people read, text by text.
  private let texts: [[[String]]]
  private let services: [Service]

  init(_ services: [Service]) {
    self.services = services
    texts = services.map { service in
      ["name", "tagline", "description"].compactMap { service.text($0) }
        .map(ReferenceText.words(of:))
    }
  }

  static func words(of text: String) -> [String] {
    text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
  }

  func has(_ word: String, _ service: Int) -> Bool { texts[service].contains { $0.contains(word) } }

  func hasPhrase(_ phrase: String, _ service: Int) -> Bool {
    let wanted = ReferenceText.words(of: phrase)
    return texts[service].contains { words in
      words.indices.contains { words[$0...].starts(with: wanted) }
    }
  }

  /// Whether some service has the word.
  func isHeard(_ word: String) -> Bool { services.indices.contains { has(word, $0) } }

  /// What is wrong with the set of a query of plain words: it has every service with all of the words
  /// and none without any; one word that all know is the service's or not.
  func faults(of set: [Bool], words: [String]) -> [String] {
    guard !words.isEmpty, words.allSatisfy({ isHeard($0) }) else { return [] }
    return services.indices.compactMap { service in
      let found = words.filter { has($0, service) }
      if set[service], found.isEmpty { return "\(services[service].id) has none of \(words)" }
      if !set[service], found.count == words.count {
        return "\(services[service].id) has all of \(words) and does not match"
      }
      return nil
    }
  }

  /// The set without services that have an excluded word, and of the rest those with each phrase, where
  /// one has it: a phrase that stands nowhere is no condition.
  func marked(_ set: [Bool], _ query: RandomQuery) -> [Bool] {
    var kept = set
    for service in services.indices where query.exclusions.contains(where: { has($0, service) }) {
      kept[service] = false
    }
    for phrase in query.phrases {
      let having = services.indices.map { kept[$0] && hasPhrase(phrase, $0) }
      if having.contains(true) { kept = having }
    }
    return kept
  }
}
