extension Snapshot {
  /// The stored hit of a live service as JSON text, or nil where searches do not see it: drafts, removed ones
  /// and ids that never were look the same.
  package func document(of id: String) -> [UInt8]? {
    guard let place = place(of: id) else { return nil }
    return segments[place.segment].document(place.index)
  }
}
