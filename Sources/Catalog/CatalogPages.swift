public import SQLite

/// The whole catalog in order of id, drafts and removed ones too, a page at a time.
///
/// Each page is a short read of its own: what is written meanwhile before the place reached is missed.
public struct CatalogPages: Sendable {
  private let record: Database
  private let count: Int
  private var after = ""

  /// The pages of a record, of so many services each.
  public init(of record: Database, count: Int) {
    self.record = record
    self.count = count
  }

  /// The next page, or nil behind the last.
  /// - Throws: `CancellationError`; as `Database.read`.
  public mutating func next() async throws -> [StoredService]? {
    try Task.checkCancellation()
    let page = try await record.read { [after, count] in
      try CatalogStore.services(after: after, limit: count, on: $0)
    }
    guard let last = page.last else { return nil }
    after = last.service.id
    return page
  }
}
