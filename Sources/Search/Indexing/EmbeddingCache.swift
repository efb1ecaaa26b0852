internal import Cryptography
internal import Primitives
internal import SQLite

/// The vectors of texts that were embedded before, in `index/<generation>/index.db`.
///
/// Keyed by the SHA-256 of the text; the generation belongs to one model, so a price change embeds nothing.
package struct EmbeddingCache: Sendable {
  private let database: Database

  /// Opens or makes the file in a generation's folder.
  package init(path: String) throws {
    database = try Database(
      path: path,
      migrations: [
        Migration(
          name: "i0001-create-embedding.sql",
          sql: """
            CREATE TABLE embedding(
              text_hash BLOB PRIMARY KEY CHECK(length(text_hash) = 32),
              vector BLOB NOT NULL CHECK(length(vector) = 1536)
            ) STRICT, WITHOUT ROWID;
            """)
      ], options: Database.Options(readerCount: 1))
  }

  package static func key(of text: String) -> [UInt8] { Digest.sha256(Array(text.utf8)) }

  /// The vectors of keys that are known.
  package func vectors(of keys: [[UInt8]]) async throws -> [[UInt8]: [Float]] {
    try await database.read { connection in
      var found: [[UInt8]: [Float]] = [:]
      found.reserveCapacity(keys.count)
      for key in keys {
        let vector = try connection.first(
          "SELECT vector FROM embedding WHERE text_hash = ?", [.blob(key)]
        ) { row in row.withBlob(0) { Array($0.bindMemory(to: Float.self)) } }
        if let vector { found[key] = vector }
      }
      return found
    }
  }

  /// Keeps vectors.
  package func store(_ entries: [(key: [UInt8], vector: [Float])]) async throws {
    try await database.write { connection in
      for entry in entries {
        let bytes = entry.vector.withUnsafeBytes { Array($0) }
        try connection.run(
          "INSERT INTO embedding(text_hash, vector) VALUES (?, ?) ON CONFLICT DO NOTHING",
          [.blob(entry.key), .blob(bytes)])
      }
    }
    try await database.checkpoint()
  }
}
