import Catalog
import Dispatch
import Embedding
import Foundation
import Primitives
import Search

/// The embedding engine against onnxruntime, on the same texts: one query of about 12 tokens, texts of about 88.
enum BenchEmbedding {
  private static let queryCount = 100
  private static let textCount = 64

  static func rows(_ inputs: BenchInputs) throws -> [BenchRow] {
    guard let encoder = inputs.encoder else {
      var row = BenchRow("embed", size: 0, unit: "ms")
      row.skipped = "the embedding model is missing: run 'make model'"
      return [row]
    }
    let queries = Array(
      inputs.needs.filter { (10...14).contains(encoder.ids(of: $0).count) }
        .prefix(queryCount))
    let services = texts(inputs, encoder)
    guard !queries.isEmpty, !services.isEmpty else {
      var row = BenchRow("embed", size: 0, unit: "ms")
      row.skipped = "no needs of about 12 tokens, or no services of about 88"
      return [row]
    }
    let folder = try BenchFolder()
    defer { withExtendedLifetime(folder) {} }
    let files = try write(queries, services, in: folder)
    let texts = services.map { "\($0.name). \($0.description)" }
    let home = inputs.arguments.text("home") ?? ".waypost"
    let float = DataFolder.encoder(home: home, precision: .float).0 ?? encoder
    return try inputs.interleave([
      BenchRow("embed, a query", size: queries.count, unit: "ms"),
      BenchRow("embed, texts of 88 tokens", size: texts.count, unit: "a second"),
      BenchRow("embed, texts, 2 threads", size: texts.count, unit: "a second"),
      BenchRow("embed, texts, fp32", size: texts.count, unit: "a second"),
    ]) { peer in
      let one = try peer.run("embedding.py", files + ["--threads", "1"])
      let two = try peer.run("embedding.py", files + ["--threads", "2"])
      return [
        try BenchPeer.figure(one, peer: "onnxruntime", what: "query"),
        try BenchPeer.figure(one, peer: "onnxruntime", what: "texts"),
        try BenchPeer.figure(two, peer: "onnxruntime", what: "texts"),
        try BenchPeer.figure(one, peer: "onnxruntime", what: "texts"),
      ]
    } ours: {
      [
        query(queries, encoder), rate(texts, encoder, threadCount: 1),
        rate(texts, encoder, threadCount: 2), rate(texts, float, threadCount: 1),
      ]
    }
  }

  private static func texts(
    _ inputs: BenchInputs, _ encoder: Encoder
  ) -> [(name: String, description: String)] {
    var found: [(name: String, description: String)] = []
    for service in inputs.corpus.templates.prefix(20_000) where found.count < textCount {
      guard let description = service.text("description") else { continue }
      let text = "\(service.name). \(description)"
      // The peer cuts at 1,500 characters; shorter texts are the same for both.
      if text.count <= 1_500, (80...96).contains(encoder.ids(of: text).count) {
        found.append((service.name, description))
      }
    }
    return found
  }

  private static func write(
    _ queries: [String], _ services: [(name: String, description: String)], in folder: BenchFolder
  ) throws -> [String] {
    let needs = queries.map { JSON.object(["query": .string($0)]).text }
    let rows = services.map {
      JSON.object(["name": .string($0.name), "description": .string($0.description)]).text
    }
    let paths = [folder.path + "/queries.jsonl", folder.path + "/texts.jsonl"]
    for (path, lines) in zip(paths, [needs, rows]) {
      let text = lines.joined(separator: "\n") + "\n"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }
    return [
      "--queries", paths[0], "--catalog", paths[1], "--count",
      String(max(queries.count, rows.count)),
    ]
  }

  private static func query(_ queries: [String], _ encoder: Encoder) -> BenchFigure {
    for query in queries.prefix(10) { _ = encoder.vector(of: query) }
    var sample = BenchSample()
    for query in queries {
      let start = BenchInputs.nanoseconds()
      let vector = encoder.vector(of: query)
      sample.note(nanoseconds: BenchInputs.nanoseconds() - start)
      precondition(vector.count == BenchVectors.dimension, "a vector of \(vector.count)")
    }
    return BenchFigure(sample)
  }

  /// Texts a second; every thread takes each so-many-th text.
  private static func rate(
    _ texts: [String], _ encoder: Encoder, threadCount: Int
  ) -> BenchFigure {
    let start = BenchInputs.nanoseconds()
    DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
      let part = stride(from: thread, to: texts.count, by: threadCount).map { texts[$0] }
      let vectors = encoder.vectors(of: part)
      precondition(vectors.count == part.count, "\(vectors.count) vectors of \(part.count) texts")
    }
    return BenchFigure(Double(texts.count) * 1e9 / Double(BenchInputs.nanoseconds() - start))
  }
}
