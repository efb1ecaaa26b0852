internal import Primitives
internal import Search

/// A service that the guide thinks of, with its fields at hand.
struct Candidate: Sendable {
  let id: String
  let score: Double
  let service: JSON
  let offer: JSON?

  var name: String { service["name"]?.string ?? id }
  var provider: String { service["provider"]?["name"]?.string ?? "" }
  var isUnclaimed: Bool { service["provider"]?["id"]?.string?.hasPrefix("unclaimed-") ?? false }
  var revision: Int64 { service["revision"]?.int ?? 0 }

  init(_ hit: Hit, score: Double) {
    id = hit.id
    self.score = score
    service = (try? JSON.parse(hit.service)) ?? [:]
    offer = hit.offer.isEmpty ? nil : try? JSON.parse(hit.offer)
  }

  /// The values of a field as words; nil where the record does not say.
  func values(_ field: String) -> [String]? {
    switch field {
    case "plan": return offer?["plan"]?.string.map { [$0] }
    case "provider": return isUnclaimed ? nil : [provider]
    default: break
    }
    switch service[field] {
    case .string(let text)?: return [text]
    case .bool(let flag)?: return [flag ? "true" : "false"]
    case .int(let number)?: return [String(number)]
    case .double(let number)?: return [String(number)]
    case .array(let values)?:
      let words = values.compactMap(\.string)
      return words.isEmpty ? nil : words
    case .object(let flags)?:
      return flags.members.filter { $0.value.bool == true }.map(\.key)
    default: return nil
    }
  }

  /// The price as people compare it, from the record; nil where it is not stated.
  var price: String? {
    guard let prices = offer?["prices"]?.array, !prices.isEmpty else { return nil }
    if offer?["plan"] == "free" { return "free" }
    let parts = prices.prefix(3).compactMap { price -> String? in
      guard let nano = price["amountNano"]?.int, let meter = price["meter"]?.string,
        let currency = price["currency"]?.string
      else { return nil }
      let amount = Money(amountNano: nano, currency: currency).decimal
      return "\(amount) \(currency) per \(Candidate.unit(meter, price["per"]?.int ?? 1))"
    }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  /// The number that "cheaper" compares, with its currency.
  var comparablePrice: (nano: Int64, currency: String)? {
    let prices = offer?["prices"]?.array ?? []
    let main =
      prices.first { $0["meter"]?.string == "inputToken" } ?? (prices.count == 1 ? prices[0] : nil)
    guard let nano = main?["amountNano"]?.int, let currency = main?["currency"]?.string else {
      return nil
    }
    return (nano, currency)
  }

  private static func unit(_ meter: String, _ per: Int64) -> String {
    let names = ["inputToken": "input tokens", "outputToken": "output tokens"]
    let name = names[meter] ?? meter
    return per == 1 ? name : per == 1_000_000 ? "1M \(name)" : "\(per) \(name)"
  }
}

/// A stored field quoted as proof.
struct Evidence: Sendable {
  let id: String
  let candidate: Candidate
  let field: String
  let value: JSON

  var json: JSON {
    [
      "id": .string(id), "serviceId": .string(candidate.id), "revision": .int(candidate.revision),
      "field": .string(field), "value": value, "source": candidate.service["source"] ?? .null,
    ]
  }
}

/// Listing text as plain words: what could steer a terminal or hide text is taken out (chat.md S4).
enum PlainText {
  static func clean(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.filter { scalar in
          switch scalar.properties.generalCategory {
          case .control, .format, .privateUse, .surrogate: scalar == "\n" || scalar == " "
          default: true
          }
        }))
  }

  /// The sentence of a text that has most of the words, with its length bounded; literal, so that it can be checked.
  static func quote(from text: String, words: Set<String>) -> String? {
    var best: (sentence: Substring, hits: Int)?
    for sentence in sentences(text) {
      let own = Set(sentence.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init))
      let hits = own.intersection(words).count
      if best.map({ hits > $0.hits }) ?? true { best = (sentence, hits) }
    }
    guard let sentence = best?.sentence, !sentence.isEmpty else { return nil }
    return sentence.count <= 220 ? String(sentence) : String(sentence.prefix(220))
  }

  private static func sentences(_ text: String) -> [Substring] {
    var output: [Substring] = []
    var start = text.startIndex
    var index = start
    while index < text.endIndex {
      let next = text.index(after: index)
      let ends = ".!?\n".contains(text[index]) && (next == text.endIndex || text[next].isWhitespace)
      if ends {
        output.append(text[start..<next])
        start = next
        while start < text.endIndex, text[start].isWhitespace { start = text.index(after: start) }
        index = start
      } else {
        index = next
      }
    }
    if start < text.endIndex { output.append(text[start...]) }
    return output.filter { $0.count > 3 }
  }
}
