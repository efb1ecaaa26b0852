import Primitives
import Search
import Testing

@Suite("Queries of any characters", .serialized)
struct QueryRobustnessTests {
  /// Reads a text in less than 50 ms, the best of some runs, and checks what holds of every reading.
  private func check(_ text: String) {
    var best = Duration.seconds(60)
    for _ in 0..<5 where best > .milliseconds(50) {
      let start = ContinuousClock.now
      _ = FakeCatalog.reader.read(text)
      best = min(best, ContinuousClock.now - start)
    }
    let shown = text.unicodeScalars.prefix(12).map { String($0.value, radix: 16) }
    #expect(best <= .milliseconds(50), "\(shown)")
    let result = FakeCatalog.reader.read(text)
    #expect(result.notes.count <= 10)
    for constraint in result.constraints {
      #expect(constraint.span.upperBound <= text.utf16.count)
      #expect(constraint.span.lowerBound < constraint.span.upperBound)
      let refusal = filterRefusal(constraint.expression.canonical)
      #expect(refusal == nil)
    }
  }

  @Test(
    "every odd string is read quickly",
    .enabled(if: Shared.hasOddStrings, "../shared/data/odd-strings.jsonl is absent"))
  func odd() throws {
    for text in try Shared.oddTexts() {
      check(text)
      check("cheaper than " + text)
      check("under $" + text)
    }
  }

  /// Words and signs on which the grammars turn.
  private static let pieces = [
    "under", "not", "without", "cheaper", "than", "like", "gpt-4o", "but", "$1", "0,5", "€", "per",
    "million", "tokens", "context", "128k", "image", ",", "and", "or", "input", "output", "free",
    "model",
    "hosted", "in", "the", "eu", "released", "after", "2025", "rated", "4", "or better", "\"", "(",
    "-", "/",
    "三", "免费", "低于", "openai", "by", "llama", "9999999999999999999", "0.0000000000001", "1e9", "%",
    "ms",
    "half", "a", "between", "to", "nines", "three", "'s", "’", ".", ":", "+", "¢", "\u{301}",
    "\u{200D}",
  ]

  @Test(
    "1,000 characters of what the grammars look for are read quickly",
    arguments: 0..<60 as Range<UInt64>)
  func repeated(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let few = (0..<(2 + random.below(6))).map { _ in random.pick(QueryRobustnessTests.pieces) }
    var text = ""
    while text.utf16.count < 1_000 {
      text += random.chance(70) ? random.pick(few) : random.pick(QueryRobustnessTests.pieces)
      if random.chance(85) { text += " " }
    }
    check(text)
  }

  @Test("one character of many scalars is cut, and said to be")
  func combining() {
    let text = "a" + String(repeating: "\u{301}", count: 200_000)
    let result = FakeCatalog.reader.read(text)
    #expect(result.isCut)
    check(text)
  }

  @Test("a name that the catalog gives for every run of words ends")
  func everything() {
    struct Everything: CatalogNames {
      func provider(_ folded: String) -> String? { "P" }
      func service(_ folded: String) -> NamedService? {
        NamedService(id: "s", name: "S", figures: ["inputPrice": .init(1, unit: 0)])
      }
      func families(_ folded: String) -> [String] { ["f"] }
    }
    let reader = QueryReader(names: Everything())
    for text in [
      "not a, b, c and d", "by x", "cheaper than", "like", "not", "a model", "from", "no no no",
    ] {
      let long = String(repeating: text + " ", count: 60)
      let result = reader.read(long)
      #expect(result.text.utf16.count <= long.utf16.count)
    }
  }
}
