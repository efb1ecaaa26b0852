/// Providers, families and services that a query names: "by OpenAI", "a llama model", "not Mistral AI or Google".
struct NameGrammar {
  private static let wordMax = 5
  let names: any CatalogNames
  let words: [QueryWord]

  /// A name that starts at a word, the longest first, with its end.
  private func longest<Value>(at start: Int, _ find: (String) -> Value?) -> (Value, end: Int)? {
    var run: [String] = []
    var at = start
    while at < words.count, run.count < NameGrammar.wordMax, words[at].isOpen {
      run.append(words[at].folded)
      at += 1
      if words[at - 1].endsClause { break }
    }
    while !run.isEmpty {
      let name = run.joined(separator: " ")
      if let value = find(name) { return (value, start + run.count) }
      if name.hasSuffix("'s"), let value = find(String(name.dropLast(2))) {
        return (value, start + run.count)
      }
      run.removeLast()
    }
    return nil
  }

  /// Values of `modelFamily` for a name that is no everyday word.
  private func family(_ folded: String) -> [String]? {
    guard folded.utf8.count >= 3, !NameGrammar.everyday.contains(folded) else { return nil }
    let values = names.families(folded)
    return values.isEmpty ? nil : values
  }

  private static let everyday: Set<String> = [
    "auto", "seed", "image", "embedding", "text", "code", "chat", "free", "router", "audio",
    "video",
    "speech", "vision", "language", "reasoning", "small", "large", "open", "the", "this", "that",
    "any",
    "only", "base", "pro", "mini", "other", "new",
  ]

  // MARK: Providers

  private static let makers: Set<String> = ["by", "provider"]
  private static let sources: Set<String> = ["from", "via", "on", "through", "at"]
  private static let participles: Set<String> = [
    "made", "hosted", "provided", "offered", "published", "sold", "run", "served", "developed",
    "built",
    "straight", "directly", "running", "available",
  ]

  /// "by OpenAI", "models from Mistral AI", "hosted by Groq", "Groq hosted".
  func provider(at start: Int) -> QueryMatch? {
    guard words[start].isOpen else { return nil }
    if let hosted = hostedBy(at: start) { return hosted }
    let word = words[start].folded
    let before = start > 0 && !words[start - 1].endsClause ? words[start - 1].folded : ""
    let isMaker = NameGrammar.makers.contains(word)
    guard isMaker || NameGrammar.sources.contains(word) && isSource(word, before, start),
      let (name, end) = longest(at: start + 1, names.provider)
    else { return nil }
    let first =
      NameGrammar.participles.contains(before) && words[start - 1].isOpen ? start - 1 : start
    return QueryMatch(
      range: first..<end, expression: .compare(field: "provider", .equal, .word(name)),
      label: "by \(name)")
  }

  /// "from" and "on" stand before much else: "photos from Google", "send mail via Gmail".
  private func isSource(_ word: String, _ before: String, _ start: Int) -> Bool {
    if ["straight", "directly", "hosted", "served", "available"].contains(before) { return true }
    if QueryTopic.kinds.contains(before) { return true }
    // "a model with image input on Amazon Bedrock"
    let behind = words[max(start - 6, 0)..<start]
    return (word == "on" || word == "from")
      && behind.contains { QueryTopic.models.contains($0.folded) }
  }

  private func hostedBy(at start: Int) -> QueryMatch? {
    guard let (name, end) = longest(at: start, names.provider), end < words.count,
      !words[end - 1].endsClause, words[end].isOpen, words[end].folded == "hosted"
    else { return nil }
    return QueryMatch(
      range: start..<end + 1, expression: .compare(field: "provider", .equal, .word(name)),
      label: "by \(name)")
  }

  // MARK: Families

  /// "a llama model", "Qwen family model", "from the llama family". A bare name stays a name.
  func family(at start: Int) -> QueryMatch? {
    guard words[start].isOpen, let (values, end) = longest(at: start, family),
      !words[end - 1].endsClause, end < words.count, words[end].isOpen
    else { return nil }
    var at = end
    if ["family", "familie", "famille", "familia"].contains(words[at].folded) {
      at += 1
    } else if !QueryTopic.models.contains(words[at].folded) {
      return nil
    }
    let name = words[start..<end].map(\.text).joined(separator: " ")
    // The name is searched as well: it ranks the family's best known member first.
    return QueryMatch(
      range: start..<at, expression: NameGrammar.families(values), label: "\(name) family",
      keepsWords: true)
  }

  /// "a MiniMax model", "OpenAI models", where no family has that name. A bare name stays a name.
  func maker(at start: Int) -> QueryMatch? {
    guard words[start].isOpen, let (name, end) = longest(at: start, names.provider),
      words[start..<end].map(\.folded).joined(separator: " ").utf8.count >= 3,
      !NameGrammar.everyday.contains(words[start].folded), !words[end - 1].endsClause,
      end < words.count, words[end].isOpen, QueryTopic.models.contains(words[end].folded)
    else { return nil }
    return QueryMatch(
      range: start..<end, expression: .compare(field: "provider", .equal, .word(name)),
      label: "by \(name)", keepsWords: true)
  }

  private static func families(_ values: [String]) -> FilterExpression {
    .oneOf(field: "modelFamily", values.sorted().map { .word($0) })
  }

  // MARK: Exclusions

  private static let negations = PhraseTable<Bool>(
    [
      "not", "not by", "not from", "not on", "no", "without", "except", "except for", "excluding",
      "anything but", "other than", "nothing from", "nothing by", "but not", "apart from", "nicht",
      "ohne", "sans", "pas", "sin", "excepto", "kein", "keine",
    ].map { ($0, true) })

  /// "not Mistral AI", "without OpenAI or Google", "anything but AWS": one condition for each name.
  func exclusions(at start: Int) -> [QueryMatch] {
    var reader = WordReader(words, at: start)
    guard reader.take(from: NameGrammar.negations) != nil else { return [] }
    _ = reader.take(oneOf: ["a", "an", "any", "the"])
    var matches: [QueryMatch] = []
    var first = start
    var at = reader.at
    while let (expression, label, end) = excluded(at: at) {
      matches.append(QueryMatch(range: first..<end, expression: expression, label: label))
      first = end
      at = end
      guard at < words.count else { break }
      if ["or", "and", "nor", "&", "oder", "ou", "o"].contains(words[at].folded) {
        at += 1
        if at < words.count, ["not", "no"].contains(words[at].folded) { at += 1 }
      } else if !words[at - 1].endsClause {
        break
      }
    }
    return matches
  }

  private func excluded(at start: Int) -> (FilterExpression, label: String, end: Int)? {
    let provider = longest(at: start, names.provider)
    let family = longest(at: start, family)
    let end = max(provider?.end ?? 0, family?.end ?? 0)
    guard end > start else { return nil }
    var parts: [FilterExpression] = []
    var label = words[start..<end].map(\.text).joined(separator: " ")
    if let provider, provider.end == end {
      parts.append(.compare(field: "provider", .notEqual, .word(provider.0)))
      label = provider.0
    }
    if let family, family.end == end {
      // A service that says no family is of none that is named.
      parts.append(
        .or([.not(NameGrammar.families(family.0)), .not(.known(field: "modelFamily"))]))
    }
    var last = end
    let tails: Set<String> = ["model", "models", "family"]
    if last < words.count, !words[last - 1].endsClause, words[last].isOpen,
      tails.contains(words[last].folded)
    {
      last += 1
    }
    return (parts.count == 1 ? parts[0] : .and(parts), "not \(label)", last)
  }
}
