import Catalog
import Foundation
import Primitives
import Search

/// Catalogs and judged needs of files, for `eval` and `tune`.
enum JudgedFiles {
  /// The whole text of a file.
  static func text(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Refusal(.validationFailed, "\(path) cannot be read.")
    }
    return String(decoding: data, as: UTF8.self)
  }

  static func lines(_ path: String) throws -> [String] {
    try text(path).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .map(String.init)
  }

  /// The public services of a file, or of every `.jsonl` of a folder; of a pool only those that it names.
  static func services(_ path: String, pool: String?) throws -> [Service] {
    let kept = try pool.map { Set(try lines($0)) }
    return try Importer.services(of: path)
      .filter { $0.isPublic && kept?.contains($0.id) ?? true }
  }

  /// Needs with at least one right service.
  static func needs(queries: String, qrels: String) throws -> [TuningNeed] {
    let (questions, judgements) = (try lines(queries), try lines(qrels))
    do {
      return try TuningNeeds.judged(queries: questions, qrels: judgements)
    } catch {
      throw Refusal(
        .validationFailed, "A line of \(queries) or \(qrels) is not valid.",
        fields: [.init("line \(error.line)", error.reason)])
    }
  }

  /// The needs of a folder's `needs.jsonl` and `qrels.tsv`; none where it has no such files.
  static func gate(_ folder: String?) throws -> [TuningNeed] {
    guard let folder, FileManager.default.fileExists(atPath: folder + "/needs.jsonl") else {
      return []
    }
    return try needs(queries: folder + "/needs.jsonl", qrels: folder + "/qrels.tsv")
  }
}
