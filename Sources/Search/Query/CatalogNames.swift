/// A service that a query compares with, and what of it can be compared.
package struct NamedService: Sendable, Equatable {
  /// One number of a service, as a filter on its field compares it.
  package struct Figure: Sendable, Equatable {
    /// Billionths of the currency for a price, milliseconds since 1970 for a date, else the plain number.
    package let value: Double
    /// The currency's place in `IndexField.currencies`, or -1 where the field has none.
    package let unit: Int8

    package init(_ value: Double, unit: Int8 = -1) {
      self.value = value
      self.unit = unit
    }
  }

  package let id: String
  /// The name as the catalog writes it.
  package let name: String
  /// What is known of it, by the name of the field (`inputPrice`, `contextWindow`, `latencyP95`, ...); of
  /// several offers the lowest price. A field that is not here is unknown.
  package let figures: [String: Figure]

  package init(id: String, name: String, figures: [String: Figure]) {
    self.id = id
    self.name = name
    self.figures = figures
  }
}

/// The names of a catalog that a query may say. Asked for several runs of words of each query: an answer
/// should cost one look-up. Every name comes in lower case, its words parted by single spaces.
package protocol CatalogNames: Sendable {
  /// A provider's name as the catalog writes it, or nil.
  func provider(_ folded: String) -> String?
  /// The one service of that name or id, or nil where there is none or it cannot be told which.
  func service(_ folded: String) -> NamedService?
  /// Every value of `modelFamily` that belongs to a family: `llama` itself, `Llama3`, `llama-guard`.
  /// Empty where there is none.
  func families(_ folded: String) -> [String]
}

extension CatalogNames {
  package func provider(_ folded: String) -> String? { nil }
  package func service(_ folded: String) -> NamedService? { nil }
  package func families(_ folded: String) -> [String] { [] }
}

/// Providers alone, by a closure.
struct ProviderNames: CatalogNames {
  let find: @Sendable (String) -> String?

  func provider(_ folded: String) -> String? { find(folded) }
}
