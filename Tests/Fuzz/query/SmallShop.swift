internal import Catalog
internal import FuzzSupport
internal import Index
internal import Primitives
internal import SQLite
internal import Search

/// A few listings, some of them hostile, in a real record with a real index.
struct SmallShop: Sendable {
  private let engine: SearchEngine
  private let snapshot: Snapshot

  /// nil where there is no room for its files.
  static func make() -> SmallShop? {
    guard let folder = Fuzz.temporaryFolder() else { return nil }
    return Fuzz.blocking { try await SmallShop(folder: folder) }
  }

  private init(folder: String) async throws {
    let record = try Database(
      path: folder + "/record.db",
      migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
      options: Database.Options(readerCount: 1))
    let services = try SmallShop.documents.map { document throws in try Service.read(document) }
    let now = Timestamp(milliseconds: 1_800_000_000_000)
    try await record.write { connection -> Void in
      for service in services { _ = try CatalogStore.put(service, at: now, on: connection) }
    }
    let indexer = try Indexer(record: record, encoder: nil, dataFolder: folder, threadCount: 1)
    try await indexer.load()
    engine = SearchEngine(encoder: .init(encoder: nil), microseconds: { 0 })
    snapshot = indexer.index.snapshot
  }

  /// The first page for a text, with all that an answer can carry; nil where the search throws.
  func search(_ text: String, isPrefix: Bool) -> SearchAnswer? {
    var request = SearchRequest()
    request.query = text
    request.isPrefix = isPrefix
    request.highlights = true
    request.explains = true
    request.facets = ["kind", "tags", "price", "contextWindow", "provider"]
    return try? engine.search(request, on: snapshot)
  }

  private static let documents: [JSONObject] = [
    [
      "id": "weather", "name": "Weather Now", "providerName": "Acme", "tags": ["forecast", "api"],
      "tagline": "Current weather for any city", "description": "Rain and wind by the hour.",
    ],
    [
      "id": "speech", "name": "Speech Kit", "providerName": "OpenAI", "regions": ["eu"],
      "tagline": "Speech to text for calls", "offers": [price("minute", per: 1, nano: 6_000_000)],
    ],
    [
      "id": "gpt-4o", "name": "GPT-4o", "providerName": "OpenAI", "kind": "model",
      "modelFamily": "gpt", "contextWindow": 128_000, "features": ["vision": true],
      "inputModalities": ["text", "image"],
      "offers": [price("inputToken", per: 1_000_000, nano: 2_500_000_000)],
    ],
    [
      "id": "han", "name": "天気 API", "providerName": "日本語", "tags": ["天気", "免费"],
      "tagline": "日本の天気をお知らせします",
    ],
    [
      "id": "odd", "name": "\"><b>NOT\u{200E}\u{200D}é\u{301}' OR 1=1 --",
      "providerName": "a\"b\\c",
      "tagline": "👩‍👩‍👧 NEAR(\"* {tags}: ^x", "tags": ["a\u{301}\u{302}", "\"", "\\"],
    ],
    [
      "id": "long", "name": .string(String(repeating: "W", count: 200)), "providerName": "Acme",
      "description": .string(String(repeating: "camelCaseWord ", count: 1_400)),
    ],
  ]

  private static func price(_ meter: String, per: Int64, nano: Int64) -> JSON {
    let price: JSON = [
      "meter": .string(meter), "per": .int(per), "amountNano": .int(nano), "currency": "USD",
    ]
    return ["id": "usage", "plan": "usage", "prices": [price]]
  }
}
