/// Where a service runs: "hosted in Germany", "EU hosted", "servers in the US", "data stays in Switzerland". A place
/// alone ("jobs in Germany") is part of a need.
enum PlaceGrammar {
  private static let openings = PhraseTable<Bool>(
    [
      "hosted in", "hosted within", "hosting in", "servers in", "server in", "servers located in",
      "data center in", "data centers in", "data centre in", "data centres in", "datacenter in",
      "datacenters in", "data stays in", "data stay in", "data stored in", "data is stored in",
      "data kept in", "data processed in", "data is processed in", "data remains in",
      "data resides in",
      "data residency in", "stays in", "gehostet in", "server in", "hébergé en", "hébergé dans",
      "hébergée en", "hébergés en", "alojado en", "alojados en", "data must stay in",
      "data should stay in", "data has to stay in", "data never leaves",
    ].map { ($0, true) })
  private static let providers = PhraseTable<Bool>(
    [
      "provider in", "provider from", "provider based in", "providers in", "providers based in",
      "providers from", "vendor in", "vendor from", "vendor based in", "vendors based in",
    ].map { ($0, true) })
  private static let endings = PhraseTable<Bool>(
    [
      "hosted", "-hosted", "hosting", "servers", "server", "region", "data residency",
      "data center",
      "data centers", "datacenter", "datacenters",
    ].map { ($0, true) })
  /// What is held in a country and is no service.
  private static let events: Set<String> = [
    "event", "events", "games", "olympics", "cup", "tournament", "tournaments",
  ]

  static func find(_ words: [QueryWord], at start: Int, topic: QueryTopic) -> QueryMatch? {
    inside(words, at: start, topic) ?? adjective(words, at: start, topic)
      ?? provider(words, at: start)
  }

  /// "hosted in Germany or Austria".
  private static func inside(
    _ words: [QueryWord], at start: Int, _ topic: QueryTopic
  ) -> QueryMatch? {
    var reader = WordReader(words, at: start)
    guard !events.contains(reader.before ?? ""), reader.take(from: openings) != nil else {
      return nil
    }
    _ = reader.take("the")
    guard var place = reader.take(from: Lexicon.shipped.places) else { return nil }
    let separator = reader.at
    if reader.take(oneOf: ["or", "and"]) {
      _ = reader.take("the")
      if let other = reader.take(from: Lexicon.shipped.places) {
        place = Lexicon.Place(
          codes: place.codes + other.codes, label: "\(place.label) or \(other.label)")
      } else {
        reader.go(to: separator)
      }
    }
    let isParted = start == 0 || words[start - 1].endsClause
    guard isParted || topic.isNear(reader.range) else { return nil }
    return match(place, reader.range)
  }

  /// "EU hosted", "eu-hosted", "US servers", "German data centers".
  private static func adjective(
    _ words: [QueryWord], at start: Int, _ topic: QueryTopic
  ) -> QueryMatch? {
    var reader = WordReader(words, at: start)
    if let word = reader.word, word.hasSuffix("-hosted"),
      let found = Lexicon.shipped.places.byFirst[String(word.dropLast(7))]?.first(where: {
        $0.rest.isEmpty
      })
    {
      _ = reader.take(word)
      return match(found.value, reader.range)
    }
    guard let place = reader.take(from: Lexicon.shipped.places) else { return nil }
    let isHosted = reader.comes("hosted") || reader.comes("data", "residency")
    guard reader.take(from: endings) != nil else { return nil }
    // "shopping sites in the US region" is about the sites.
    guard isHosted || reader.before != "the" && topic.isNear(reader.range) else { return nil }
    return match(place, reader.range)
  }

  /// "a provider based in France": the provider's country.
  private static func provider(_ words: [QueryWord], at start: Int) -> QueryMatch? {
    var reader = WordReader(words, at: start)
    guard reader.take(from: providers) != nil else { return nil }
    _ = reader.take("the")
    guard let place = reader.take(from: Lexicon.shipped.places) else { return nil }
    let values = place.codes.map { FilterExpression.Value.word($0) }
    return QueryMatch(
      range: reader.range, expression: .oneOf(field: "country", values),
      label: "provider in \(place.label)")
  }

  private static func match(_ place: Lexicon.Place, _ range: Range<Int>) -> QueryMatch {
    var codes: [String] = []
    for code in place.codes where !codes.contains(code) { codes.append(code) }
    return QueryMatch(
      range: range, expression: .oneOf(field: "regions", codes.map { .word($0) }),
      label: "hosted in \(place.label)")
  }
}
