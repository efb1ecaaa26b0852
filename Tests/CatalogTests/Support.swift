import Catalog
import Foundation
import Index
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

/// Moments of the tests, fixed.
enum Moment {
  static let first = Timestamp(milliseconds: 1_800_000_000_000)
  static let second = Timestamp(milliseconds: 1_800_000_060_000)
}

/// What an importer said, line by line.
final class Lines: Sendable {
  private let state = Mutex<[String]>([])

  var all: [String] { state.withLock { $0 } }

  func append(_ line: String) { state.withLock { $0.append(line) } }
}

/// A record in a folder of its own.
struct Record: Sendable {
  let folder: TemporaryFolder
  let database: Database

  init() throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    database = try Database(
      path: folder.path + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) })
  }

  func put(
    _ service: Service, at now: Timestamp = Moment.first, expected: Int64? = nil
  ) async throws -> CatalogStore.Outcome {
    try await database.write { connection throws in
      try CatalogStore.put(service, at: now, expected: expected, on: connection)
    }
  }

  func remove(_ id: String, providerID: String? = nil) async throws -> Int64? {
    try await database.write { connection throws in
      try CatalogStore.remove(
        id: id, providerID: providerID, at: Moment.second, on: connection)
    }
  }

  func stored(_ id: String) async throws -> StoredService? {
    try await database.read { connection in try CatalogStore.service(id: id, on: connection) }
  }

  func revision() async throws -> Int64 {
    try await database.read { connection in try CatalogStore.revision(connection) }
  }

  /// Imports paths; gives the report and every line that was said.
  func imported(
    _ paths: [String], atomic: Bool = false, dryRun: Bool = false, batchCount: Int = 64
  ) async throws -> (report: ImportReport, said: [String]) {
    let lines = Lines()
    let report = try await importer(lines, atomic, dryRun, batchCount).run(paths)
    return (report, lines.all)
  }

  /// Imports bytes that are in memory.
  func imported(
    bytes: [UInt8], atomic: Bool = false, dryRun: Bool = false
  ) async throws -> (report: ImportReport, said: [String]) {
    let lines = Lines()
    let report = try await importer(lines, atomic, dryRun, 64).run(lines: bytes, name: "body")
    return (report, lines.all)
  }

  private func importer(
    _ lines: Lines, _ atomic: Bool, _ dryRun: Bool, _ batchCount: Int
  ) -> Importer {
    var options = Importer.Options()
    options.isAtomic = atomic
    options.isDryRun = dryRun
    options.batchCount = batchCount
    return Importer(
      database: database, clock: Clock { Moment.first }, options: options,
      report: { lines.append($0) }, progress: { _ in })
  }
}

/// The object of a JSON text.
func object(_ text: String) throws -> JSONObject {
  let value = try JSON.parse(text)
  return try #require(value.object)
}

/// The smallest valid listing, with members added or replaced.
func document(_ members: JSONObject = [:]) -> JSONObject {
  var document: JSONObject = ["id": "alpha", "providerId": "acme", "name": "Alpha"]
  for member in members.members { document[member.key] = member.value }
  return document
}

/// A valid listing.
func listing(_ members: JSONObject = [:]) throws -> Service {
  try Service.read(document(members))
}

/// Every field at fault in a listing; none where it is valid.
func faults(_ document: JSONObject) -> [Refusal.Field] {
  do throws(Refusal) {
    _ = try Service.read(document)
    return []
  } catch {
    return error.fields
  }
}

/// The refusal that the body throws, or nil where it throws none.
func refusal(_ body: () async throws -> Void) async throws -> Refusal? {
  do {
    try await body()
    return nil
  } catch let refusal as Refusal {
    return refusal
  }
}

/// Where the package is: three levels above this file.
let packageRoot: String = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
