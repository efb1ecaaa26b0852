import Catalog
import Foundation
import Index
import Primitives
import SQLite
import Search
import TestSupport

/// Moments of the tests, fixed.
enum Moment {
  static let first = Timestamp(milliseconds: 1_800_000_000_000)
}

/// A record, its index and an engine without a model.
struct World: Sendable {
  private let folder: TemporaryFolder
  let record: Database
  let indexer: Indexer
  let engine: SearchEngine

  /// - Parameter later: Listings written after the index was built, so that they lie in its delta.
  init(_ services: [Service] = [], later: [Service] = []) async throws {
    let folder = try TemporaryFolder()
    let record = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(readerCount: 1))
    try await World.put(services, into: record)
    let indexer = try Indexer(
      record: record, encoder: nil, dataFolder: folder.path, threadCount: 1)
    try await indexer.load()
    if !later.isEmpty {
      try await World.put(later, into: record)
      try await indexer.catchUp()
    }
    self.folder = folder
    self.record = record
    self.indexer = indexer
    engine = SearchEngine(encoder: .init(encoder: nil), microseconds: { 0 })
  }

  /// A second index over a record that is there already.
  init(over record: Database) async throws {
    let folder = try TemporaryFolder()
    let indexer = try Indexer(
      record: record, encoder: nil, dataFolder: folder.path, threadCount: 1)
    try await indexer.load()
    self.folder = folder
    self.record = record
    self.indexer = indexer
    engine = SearchEngine(encoder: .init(encoder: nil), microseconds: { 0 })
  }

  /// What searches see now.
  var snapshot: Snapshot { indexer.index.snapshot }

  /// Writes listings and waits until they can be found.
  func put(_ services: [Service]) async throws {
    try await World.put(services, into: record)
    try await indexer.catchUp()
  }

  /// Removes a listing and waits until it is gone.
  func remove(_ id: String) async throws {
    _ = try await record.write { connection in
      try CatalogStore.remove(id: id, providerID: nil, at: Moment.first, on: connection)
    }
    try await indexer.catchUp()
  }

  /// Searches the snapshot, by default the newest, for at most 100 hits.
  func search(
    _ query: String = "", filter: String? = nil, on snapshot: Snapshot? = nil,
    _ adjust: (inout SearchRequest) throws -> Void = { _ in }
  ) throws -> SearchAnswer {
    var request = SearchRequest()
    request.query = query
    request.limit = 100
    if let filter { request.filter = try FilterParser.parse(filter) }
    try adjust(&request)
    return try engine.search(request, on: snapshot ?? self.snapshot)
  }

  private static func put(_ services: [Service], into record: Database) async throws {
    try await record.write { connection -> Void in
      for service in services {
        _ = try CatalogStore.put(service, at: Moment.first, on: connection)
      }
    }
  }
}

/// A valid listing of the provider Acme, with members added or replaced.
func listing(_ id: String, _ members: JSONObject = [:]) throws -> Service {
  var document: JSONObject = ["id": .string(id), "name": .string(id), "providerName": "Acme"]
  for member in members.members { document[member.key] = member.value }
  return try Service.read(document)
}

/// An offer with one price, in whole thousandths of a currency.
func offer(
  _ id: String = "usage", plan: String = "usage", meter: String = "call", milli: Int64,
  currency: String = "USD"
) -> JSON {
  let per: Int64 = meter.hasSuffix("Token") ? 1_000_000 : 1
  let nano = milli * 1_000_000
  let price: JSON = [
    "meter": .string(meter), "per": .int(per), "amountNano": .int(nano),
    "currency": .string(currency),
  ]
  return ["id": .string(id), "plan": .string(plan), "prices": [price]]
}

/// The refusal of a filter, or nil where it is one.
func filterRefusal(_ text: String) -> Refusal? {
  do throws(Refusal) {
    _ = try FilterParser.parse(text)
    return nil
  } catch {
    return error
  }
}

extension SearchAnswer {
  /// The ids of the page, in order.
  var ids: [String] { hits.map(\.id) }

  /// The counts of a facet, by value.
  func counts(_ field: String) -> [String: Int] {
    let entries = facets.first { $0.field == field }?.entries ?? []
    return Dictionary(entries.map { ($0.value, $0.count) }, uniquingKeysWith: +)
  }
}

extension SplitMix64 {
  /// A whole number from 0 up to, and without, the limit.
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(limit, 1))) }

  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

  /// Some of the values, in their order; at least one.
  mutating func some<T>(of values: [T]) -> [T] {
    var kept: [T] = []
    for value in values where below(2) == 0 { kept.append(value) }
    return kept.isEmpty ? [pick(values)] : kept
  }
}

/// Files that stand beside the package and may be absent.
enum Shared {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  static let oddStrings = root + "/shared/data/odd-strings.jsonl"
  static var hasOddStrings: Bool { FileManager.default.fileExists(atPath: oddStrings) }

  /// Every text of `odd-strings.jsonl`.
  static func oddTexts() throws -> [String] {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: oddStrings)))
    return try bytes.split(separator: 0x0A).compactMap { line in
      try JSON.parse(Array(line))["text"]?.string
    }
  }
}
