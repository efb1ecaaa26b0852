internal import Synchronization

/// What a search box offers while somebody types.
package struct Suggestions: Sendable {
  /// A query to send.
  package struct Query: Sendable, Equatable {
    /// What it came from.
    package enum Kind: String, Sendable { case phrase, word, correction }
    package let text: String
    package let kind: Kind
  }

  /// A service by its name.
  package struct Service: Sendable, Equatable {
    /// How the name was found, best first.
    package enum Match: Int, Sendable { case name, start, word, typo }
    package let id: String
    package let name: String
    package let provider: String?
    package let match: Match
  }

  /// A value to filter by.
  package struct Value: Sendable, Equatable {
    package let field: String
    package let value: String
    /// Services that have it.
    package let count: Int
    /// The filter that asks for it.
    package let filter: String
  }

  package var queries: [Query] = []
  package var services: [Service] = []
  package var values: [Value] = []
}

/// Completes what is typed, from names, facet values, known phrases and the words of the catalog.
///
/// Reads live services only, so that a draft or a removed listing is never suggested. The tables of a segment
/// are made at its first use, or before by `prepare`.
package final class Suggester: Sendable {
  /// The most of each list.
  package static let limitMax = 10
  /// The most bytes of the folded text that are looked at.
  static let byteMax = 200
  /// The most places of a table that one look-up reads; beyond, the first ones by spelling are enough.
  static let matchMax = 60_000
  /// The most words that a completion is chosen from.
  static let wordMax = 5_000

  private let tables = Mutex<[ObjectIdentifier: SuggestionTables]>([:])

  package init() {}

  /// Makes the tables of a snapshot that are not there yet, and lets go of older ones.
  package func prepare(_ snapshot: Snapshot) { _ = made(for: snapshot) }

  private func made(for snapshot: Snapshot) -> [SuggestionTables] {
    let known = tables.withLock { $0 }
    var kept: [ObjectIdentifier: SuggestionTables] = [:]
    // The tables hold their segment, so that an identifier is never another segment's.
    let made = snapshot.segments.map { segment in
      let key = ObjectIdentifier(segment)
      let table = known[key] ?? SuggestionTables(segment)
      kept[key] = table
      return table
    }
    if kept.count != known.count || kept.keys.contains(where: { known[$0] == nil }) {
      tables.withLock { [kept] in $0 = kept }
    }
    return made
  }

  /// Suggestions for what is typed; the same text on the same snapshot gives the same ones.
  /// - Parameter limit: 1...`limitMax`, of each list.
  package func suggestions(
    for typed: String, limit: Int, on snapshot: Snapshot
  ) -> Suggestions {
    let folded = Array(PrefixTable.fold(String(typed.prefix(Suggester.byteMax))))
    var output = Suggestions()
    guard !folded.isEmpty, (1...Suggester.limitMax).contains(limit) else { return output }
    let look = SuggestionLook(tables: made(for: snapshot), snapshot: snapshot, limit: limit)
    let endsInSpace = typed.last?.isWhitespace ?? false
    output.services = look.services(folded, isCorrected: false)
    let found = look.foundValues(folded)
    output.values = look.values(found)
    output.queries = look.queries(folded, found, isWordDone: endsInSpace)
    if output.services.isEmpty && output.values.isEmpty {
      let corrected = look.corrections(of: folded)
      for text in corrected {
        let bytes = Array(text.utf8)
        if output.services.isEmpty { output.services = look.services(bytes, isCorrected: true) }
        if output.values.isEmpty { output.values = look.values(look.foundValues(bytes)) }
      }
      if output.queries.isEmpty {
        output.queries = corrected.map { .init(text: $0, kind: .correction) }
      }
    }
    return output
  }
}
