internal import Primitives

/// The names of a snapshot's catalog. Each answer is a look-up in sorted tables.
struct SnapshotNames: CatalogNames {
  let snapshot: Snapshot

  func provider(_ folded: String) -> String? { snapshot.providerName(folded) }

  /// The service of that name or id. Of several listings of one name, as models have them at many providers, the
  /// lowest price of each kind and the best of each figure stand for the name.
  func service(_ folded: String) -> NamedService? {
    let places = snapshot.places(named: Segment.fold(folded))
    guard let first = places.first else { return nil }
    var figures: [String: NamedService.Figure] = [:]
    for place in places {
      let segment = snapshot.segments[place.segment]
      for field in IndexField.all where field.kind.isNumeric {
        guard let column = segment.column(field.name) else { continue }
        for row in segment.rows(of: place.index) {
          guard let value = column.number(row) else { continue }
          let figure = NamedService.Figure(value, unit: column.unit(row))
          let isBetter = figures[field.name].map { (figure.unit, value) < ($0.unit, $0.value) }
          if isBetter ?? true { figures[field.name] = figure }
        }
      }
    }
    let segment = snapshot.segments[first.segment]
    return NamedService(
      id: segment.id(first.index), name: segment.name(first.index), figures: figures)
  }

  func families(_ folded: String) -> [String] {
    var found: Set<String> = []
    for segment in snapshot.segments {
      guard let column = segment.column("modelFamily"), let table = column.folded else { continue }
      for place in table.range(prefix: folded) {
        let rest = table.text(place).dropFirst(folded.count)
        // `llama3` and `llama-guard` are of the family; `llamaindex` is another word.
        guard rest.first?.isLetter != true, let code = column.code(of: table.text(place)) else {
          continue
        }
        found.insert(column.word(Int(code)))
      }
    }
    return found.sorted()
  }
}

extension Snapshot {
  /// The live services whose folded name or id is the key, by id.
  func places(named key: String) -> [Place] {
    var places: [Place] = []
    for (number, segment) in segments.enumerated() {
      for index in segment.services(named: key) where live[number][index] {
        places.append(Place(segment: number, index: index))
      }
    }
    return places.sorted(by: precedes)
  }
}
