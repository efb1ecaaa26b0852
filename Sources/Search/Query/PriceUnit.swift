/// What a price is for: "per 1M input tokens", "a minute", "/1k images", "al mes".
struct PriceUnit: Equatable {
  enum Thing: Equatable {
    case tokens, inputTokens, outputTokens, call, minute, hour, second, image, month, year
    /// Something that no field prices, by its word.
    case other(String)
  }

  let thing: Thing
  /// How many of them the price is for, as a power of ten.
  let powerOfTen: Int

  static let perWords: Set<String> = [
    "per", "a", "an", "each", "every", "/", "pro", "je", "par", "por", "al", "im", "每", "for", "le",
    "el",
  ]

  private static let things: [String: Thing] = {
    var things: [String: Thing] = [:]
    let rows: [(Thing, String)] = [
      (.tokens, "token tokens tok toks mtok mtoks jeton jetons"),
      (.inputTokens, "eingabetoken eingabetokens eingabe-token eingabe-tokens"),
      (.outputTokens, "ausgabetoken ausgabetokens ausgabe-token ausgabe-tokens"),
      (.call, "call calls request requests query queries lookup lookups aufruf aufrufe anfrage"),
      (.call, "anfragen appel appels requête requêtes llamada llamadas 次 调用"),
      (.minute, "minute minutes min mins minuto minutos 分钟"),
      (.hour, "hour hours hr hrs h stunde stunden heure heures hora horas 小时"),
      (.second, "second seconds sec sekunde seconde segundo 秒"),
      (.image, "image images picture pictures photo photos bild bilder imagen imágenes 张 图片"),
      (.month, "month months mo monat monate mois mes 月"),
      (.year, "year years yr annum jahr an año"),
    ]
    for (thing, words) in rows {
      for word in words.split(separator: " ") { things[String(word)] = thing }
    }
    return things
  }()

  /// Things that are sold by the piece and that no field prices: the query is told so.
  private static let unpriced: Set<String> = [
    "character", "characters", "char", "chars", "zeichen", "caractère", "caractères", "caracteres",
    "page", "pages", "user", "users", "seat", "seats", "document", "documents", "word", "words",
    "gb", "video", "videos", "song", "songs", "credit", "credits", "sms", "message", "messages",
    "email", "emails", "transaction", "transactions",
  ]
  private static let counts: [String: Int] = ["每百万": 6, "每千": 3]
  private static let inputWords: Set<String> = ["input", "prompt", "eingabe", "输入"]
  private static let outputWords: Set<String> = [
    "output", "completion", "generated", "ausgabe", "输出",
  ]

  var field: (name: String, label: String)? {
    switch thing {
    case .tokens, .inputTokens: ("inputPrice", "input price per 1M tokens")
    case .outputTokens: ("outputPrice", "output price per 1M tokens")
    case .call: ("pricePerCall", "price per call")
    case .minute, .hour, .second: ("pricePerMinute", "price per minute")
    case .image: ("pricePerImage", "price per image")
    case .month, .year: ("monthlyFee", "monthly fee")
    case .other: nil
    }
  }

  /// The amount in the field's unit, in billionths, or nil where it is out of range.
  func nano(_ amount: NumberText) -> Int64? {
    switch thing {
    case .tokens, .inputTokens, .outputTokens: amount.nano(timesPowerOfTen: 6 - powerOfTen)
    case .hour: amount.nano(timesPowerOfTen: -powerOfTen).map { $0 / 60 }
    case .year: amount.nano(timesPowerOfTen: -powerOfTen).map { $0 / 12 }
    case .second:
      amount.nano(timesPowerOfTen: -powerOfTen).flatMap { $0 < (1 << 53) / 60 ? $0 * 60 : nil }
    default: amount.nano(timesPowerOfTen: -powerOfTen)
    }
  }

  /// The unit that follows an amount, or nil and nothing read.
  static func read(_ reader: inout WordReader) -> PriceUnit? {
    let place = reader.at
    var power: Int?
    if let word = reader.word, let count = counts[word] {
      _ = reader.take(word)
      power = count
    } else if !reader.take(oneOf: perWords) {
      return nil
    }
    _ = reader.take(oneOf: ["1", "one"])
    if power == nil { power = count(&reader) }
    _ = reader.take(oneOf: ["de", "von"])
    let unit = thing(&reader, power)
    if unit == nil { reader.go(to: place) }
    return unit
  }

  /// "1M", "million", "1,000", "mtok": the power of ten, or nil and nothing read.
  private static func count(_ reader: inout WordReader) -> Int? {
    if reader.take("mtok") { return 6 }
    let scales = [
      "million": 6, "m": 6, "mio": 6, "millón": 6, "thousand": 3, "k": 3, "mille": 3, "mil": 3,
    ]
    if let word = reader.word, let power = scales[word], reader.take(word) { return power }
    let place = reader.at
    guard let number = reader.number(), number.suffix.isEmpty, number.currency == nil else {
      reader.go(to: place)
      return nil
    }
    let whole = ["1": 0, "10": 1, "100": 2, "1000": 3, "10000": 4, "100000": 5, "1000000": 6]
    if let power = whole[number.digits] { return power + number.powerOfTen }
    reader.go(to: place)
    return nil
  }

  private static func thing(_ reader: inout WordReader, _ power: Int?) -> PriceUnit? {
    _ = reader.take("api")
    var side: Thing?
    if reader.take(oneOf: inputWords) { side = .inputTokens }
    if side == nil, reader.take(oneOf: outputWords) { side = .outputTokens }
    let word = reader.word ?? ""
    if var thing = things[word], reader.take(word) {
      if thing == .tokens { thing = side ?? .tokens }
      if thing == .tokens { thing = direction(&reader) ?? .tokens }
      return PriceUnit(thing: thing, powerOfTen: power ?? 0)
    }
    if unpriced.contains(word), reader.take(word) {
      return PriceUnit(thing: .other(word), powerOfTen: power ?? 0)
    }
    // "per million" alone is of tokens.
    guard let power, power >= 3 else { return nil }
    return PriceUnit(thing: side ?? direction(&reader) ?? .tokens, powerOfTen: power)
  }

  /// "tokens in" and "tokens out", where no place or thing follows.
  private static func direction(_ reader: inout WordReader) -> Thing? {
    let place = reader.at
    for (words, thing) in [(["in"], Thing.inputTokens), (["out"], .outputTokens)]
    where reader.take(sequence: words) {
      if reader.isAtEnd || ["and", "or", "but", "with"].contains(reader.word ?? "") {
        return thing
      }
      reader.go(to: place)
    }
    return nil
  }
}
