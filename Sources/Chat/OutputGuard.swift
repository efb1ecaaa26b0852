internal import Primitives

/// Lets a model's words through sentence by sentence; what could lead astray is dropped (chat.md S5).
///
/// Dropped: links, markup, images, numbers that no retrieved record has, names of tools and system text.
struct OutputGuard {
  /// Numbers that stand in the records of this turn, as digits.
  private let numbers: Set<String>
  /// Words of the names and ids of this turn's services: they may look like links or slugs.
  private let names: Set<String>
  /// Whether an id belongs to some service of the catalog.
  private let isService: (String) -> Bool
  private var pending = ""
  private(set) var droppedCount = 0

  /// A sentence is judged at the latest after this many characters.
  static let sentenceCharacterMax = 1_000

  init(candidates: [Candidate], isService: @escaping (String) -> Bool) {
    self.isService = isService
    var names: Set<String> = []
    for candidate in candidates {
      let text = candidate.name + " " + candidate.id + " " + candidate.provider
      for word in text.lowercased().split(separator: " ") { names.insert(String(word)) }
    }
    self.names = names
    var numbers: Set<String> = []
    for candidate in candidates {
      OutputGuard.collect(candidate.service.text, into: &numbers)
      OutputGuard.collect(candidate.offer?.text ?? "", into: &numbers)
    }
    self.numbers = numbers
  }

  /// Takes a piece of text and gives the sentences that it completes and that may be shown.
  mutating func take(_ piece: String) -> [String] {
    var output: [String] = []
    var rest = piece[...]
    // In short parts, so that a model which never ends a sentence costs neither memory nor time.
    while !rest.isEmpty {
      let part = rest.prefix(500)
      rest = rest[part.endIndex...]
      pending += part
      while let end = sentenceEnd() {
        let sentence = String(pending[..<end])
        pending = String(pending[end...])
        if let allowed = allow(sentence) { output.append(allowed) }
      }
      if pending.count > OutputGuard.sentenceCharacterMax { output += finish() }
    }
    return output
  }

  /// What is left at the end.
  mutating func finish() -> [String] {
    defer { pending = "" }
    return allow(pending).map { [$0] } ?? []
  }

  private func sentenceEnd() -> String.Index? {
    var index = pending.startIndex
    while index < pending.endIndex {
      let next = pending.index(after: index)
      if pending[index] == "\n" { return next }
      if ".!?".contains(pending[index]), next < pending.endIndex, pending[next].isWhitespace {
        return next
      }
      index = next
    }
    return nil
  }

  private mutating func allow(_ sentence: String) -> String? {
    let clean = PlainText.clean(sentence)
    guard !clean.allSatisfy(\.isWhitespace) else { return nil }
    let lower = clean.lowercased()
    let marks = [
      "http:", "https:", "www.", "](", "<", ">", "![", "```", "{\"", "system prompt", "javascript:",
      "data:",
    ]
    let tools = [
      "search_services", "get_service", "compare_services", "list_filters", "propose_trial",
    ]
    let isGrounded = OutputGuard.digits(of: clean).allSatisfy { numbers.contains($0) }
    guard isGrounded, !isPriceOrRating(lower), !leadsAway(lower),
      !(marks + tools).contains(where: { lower.contains($0) })
    else {
      droppedCount += 1
      return nil
    }
    return clean
  }

  /// Prices and ratings stand on the cards, from the record; a model never writes them.
  private func isPriceOrRating(_ sentence: String) -> Bool {
    let hasDigit = sentence.contains(where: \.isNumber)
    let marks = [
      "$", "€", "£", "¥", "usd", "eur", "dollar", "euro", "cent ", "cents", "star", "/5",
      "out of 5",
    ]
    return hasDigit && marks.contains { sentence.contains($0) }
  }

  /// Addresses, and services that this turn did not retrieve.
  private func leadsAway(_ sentence: String) -> Bool {
    if sentence.contains("@") { return true }
    let words = sentence.split { $0.isWhitespace || ",;()\"'`".contains($0) }
    return words.contains { word in
      let bare = word.trimmed
      if names.contains(bare) { return false }
      if OutputGuard.looksLikeHost(bare) { return true }
      guard bare.contains("-") else { return false }
      if isService(bare) { return true }
      // Three parts and more are a slug, unless joined by small words ("text-to-speech").
      let parts = bare.split(separator: "-")
      return parts.count >= 3 && parts.allSatisfy { $0.count > 3 }
    }
  }

  /// `name.tld`, also with a path behind it.
  private static func looksLikeHost(_ word: String) -> Bool {
    let host = word.split(separator: "/").first ?? ""
    let labels = host.split(separator: ".", omittingEmptySubsequences: false)
    guard labels.count >= 2, let last = labels.last, last.count >= 2 else { return false }
    return last.allSatisfy(\.isLetter) && labels.allSatisfy { !$0.isEmpty }
  }

  private static func collect(_ text: String, into numbers: inout Set<String>) {
    numbers.formUnion(digits(of: text))
  }

  /// The numbers of a text: runs of digits with points and commas inside, commas removed.
  static func digits(of text: String) -> [String] {
    var output: [String] = []
    var current = ""
    for character in text + " " {
      if character.isNumber {
        current.append(character)
      } else if !(character == "," || character == ".") || current.isEmpty {
        if !current.isEmpty { output.append(current) }
        current = ""
      } else if character == "." {
        current.append(character)
      }
    }
    return output.map { number in
      var number = number
      while number.hasSuffix(".") { number.removeLast() }
      return number
    }
  }
}
