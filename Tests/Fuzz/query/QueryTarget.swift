internal import FuzzSupport
internal import Primitives
internal import Search

private let known = QueryReader(names: AnyName())
private let shop = SmallShop.make()

/// The query parser, then a whole search: spans lie in the text, conditions are filters, answers are JSON.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzQuery(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = Fuzz.text(data, count)
  let length = text.unicodeScalars.count
  let understood = Fuzz.timed(length) { known.read(text) }
  check(understood, of: text)
  guard let shop else { Fuzz.fail("the small shop opens") }
  // The first byte chooses, so that the fuzzer finds both.
  let isPrefix = (data?.pointee ?? 0) & 1 == 1
  guard let answer = Fuzz.timed(length, { shop.search(text, isPrefix: isPrefix) }) else {
    Fuzz.fail("a search for any text is answered")
  }
  check(answer, of: text)
  return 0
}

/// The same, where the package's build renames `main`.
@_cdecl("waypost_fuzz_query_main")
public func fuzzQueryMain(
  _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  Fuzz.drive(count, arguments, fuzzQuery)
}

private func check(_ understood: Understanding, of text: String) {
  let length = text.utf16.count
  Fuzz.check(understood.notes.count <= 10, "at most ten notes")
  for constraint in understood.constraints {
    let span = constraint.span
    let isInside = span.lowerBound >= 0 && !span.isEmpty && span.upperBound <= length
    Fuzz.check(isInside, "the span \(span) lies in \(length) units: \(constraint.label)")
    Fuzz.check(!constraint.label.isEmpty, "a condition has words for people")
    let canonical = constraint.expression.canonical
    guard let again = try? FilterParser.parse(canonical) else {
      Fuzz.fail("a condition of a query is a filter: \(canonical)")
    }
    Fuzz.check(again.canonical == canonical, "a condition's filter is canonical: \(canonical)")
  }
  // What is left was in the query; folding never makes it much longer.
  Fuzz.check(understood.text.utf8.count <= 2 * text.utf8.count + 16, "no text is made up")
  Fuzz.check(
    !understood.isCut || text.unicodeScalars.count > Fuzz.timedCharacterCount,
    "only a text of over 1,000 characters is cut")
}

private func check(_ answer: SearchAnswer, of text: String) {
  Fuzz.check(answer.hits.count == min(answer.total, 20), "the page is full or is all there is")
  for hit in answer.hits {
    Fuzz.check((try? JSON.parse(hit.service)) != nil, "a hit is JSON: \(hit.id)")
    Fuzz.check(hit.offer.isEmpty || (try? JSON.parse(hit.offer)) != nil, "an offer is JSON")
    Fuzz.check(hit.score.isFinite && hit.textScore.isFinite, "scores are numbers")
    for part in [hit.highlights, hit.explanation].compactMap({ $0 }) {
      Fuzz.check((try? JSON.parse(part.bytes)) != nil, "what explains a hit is JSON")
    }
  }
  for facet in answer.facets {
    let counts = facet.entries.map(\.count) + facet.buckets.map(\.count)
    let isCounted = (counts + [facet.otherCount, facet.unknownCount]).allSatisfy { $0 >= 0 }
    Fuzz.check(isCounted, "no count is below zero: \(facet.field)")
  }
}

/// Finds a name in nearly everything, so that names of any characters reach the conditions.
private struct AnyName: CatalogNames {
  func provider(_ folded: String) -> String? { folded.utf8.count % 3 == 0 ? nil : folded }
  func service(_ folded: String) -> NamedService? {
    guard folded.utf8.count % 3 == 1 else { return nil }
    let figures: [String: NamedService.Figure] = [
      "inputPrice": .init(1_250_000_000, unit: 1), "contextWindow": .init(128_000),
      "latencyP95": .init(0.5), "releasedAt": .init(1_715_558_400_000),
    ]
    return NamedService(id: "s", name: folded, figures: figures)
  }
  func families(_ folded: String) -> [String] {
    folded.utf8.count % 5 == 0 ? [folded, folded + "\"", "\\" + folded] : []
  }
}
