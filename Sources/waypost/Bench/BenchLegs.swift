import Dispatch
import Embedding
import Foundation
import Primitives
import Search

/// The measurements that need no server: embedding, the two legs, whole searches.
enum BenchLegs {
  /// The ranked text leg against tantivy.
  static func text(_ inputs: BenchInputs, _ vectors: BenchVectors) throws -> [BenchRow] {
    try inputs.counts().flatMap { count -> [BenchRow] in
      let folder = try BenchFolder()
      let bench = try inputs.bench(count, vectors, in: folder)
      var row = BenchRow("text, any term, top 100", size: count, unit: "ms")
      row.target =
        count >= 1_000_000 ? .ratioAtMost(0.4) : count >= 50_000 ? .ratioAtMost(0.15) : nil
      // This first run reads the pages from the disk; it is not timed.
      row.facts = bench.text(inputs.needs).facts
      return try inputs.interleave([row]) { peer in
        let lines = try peer.run("text_search.py", ["--n", String(count)])
        return [try BenchPeer.figure(lines, peer: "tantivy", what: "any-term top 100")]
      } ours: {
        [BenchFigure(bench.text(inputs.needs))]
      }
    }
  }

  /// What filters leave in the vector leg's rows.
  private static let shares = [1, 0.01, 0.001, 0.0001]
  private static let queryCount = 100

  /// The vector leg against faiss's flat index, on the same vectors where the peer is there.
  static func vectors(_ inputs: BenchInputs, _ seeded: BenchVectors) throws -> [BenchRow] {
    try inputs.counts().flatMap { count -> [BenchRow] in
      let folder = try BenchFolder()
      var reason = seeded.realCount > 0 ? "the vectors are real, it makes its own" : nil
      var written: (rows: BenchVectors, queries: [[Float]])?
      let path = folder.path + "/peer"
      if let peer = inputs.peer, seeded.realCount == 0 {
        do {
          _ = try peer.run("vectors.py", ["--n", String(count), "--write", path])
          written = (
            BenchVectors(rows: try floats(path + ".vectors.f32")),
            rows(of: try floats(path + ".queries.f32"))
          )
        } catch let refusal as Refusal { reason = refusal.detail }
      }
      let bench = try inputs.bench(count, written?.rows ?? seeded, in: folder)
      let queries = written?.queries ?? seeded.queries(queryCount)
      var first = BenchRow("vectors, top 10", size: count, unit: "ms")
      (first.target, first.condition) = target(count)
      first.facts = bench.vectors(queries, share: 1).facts
      let rows = try inputs.interleave([first]) { peer in
        if let reason { throw Refusal(.storageUnavailable, reason) }
        let lines = try peer.run("vectors.py", ["--n", String(count)])
        return [try BenchPeer.figure(lines, peer: "faiss flat", what: "top 10")]
      } ours: {
        [BenchFigure(bench.vectors(queries, share: 1))]
      }
      return rows + filtered(bench, queries, count)
    }
  }

  private static func filtered(
    _ bench: SearchBench, _ queries: [[Float]], _ count: Int
  ) -> [BenchRow] {
    shares.dropFirst().map { share in
      let sample = bench.vectors(queries, share: share)
      var row = BenchRow(
        "vectors, filter leaves \(BenchReport.short(share * 100)) %", size: count, unit: "ms")
      row.ours = [BenchFigure(sample)]
      row.facts = sample.facts
      return row
    }
  }

  private static func target(
    _ count: Int
  ) -> (BenchTarget?, (name: String, range: ClosedRange<Double>)?) {
    if count >= 1_000_000 { return (.ratioAtMost(1.0 / 12), ("recall", 0.99...1)) }
    if count >= 100_000 { return (.ratioAtMost(0.1), ("recall", 0.998...1)) }
    return (nil, nil)
  }

  private static func floats(_ path: String) throws -> [Float] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Refusal(.storageUnavailable, "\(path) cannot be read")
    }
    return [Float](unsafeUninitializedCapacity: data.count / 4) { buffer, filled in
      filled = data.copyBytes(to: buffer) / 4
    }
  }

  private static func rows(of values: [Float]) -> [[Float]] {
    stride(from: 0, to: values.count, by: BenchVectors.dimension).map {
      Array(values[$0..<$0 + BenchVectors.dimension])
    }
  }

  /// Whole searches with 8 facet groups, and each of their stages.
  static func search(_ inputs: BenchInputs, _ vectors: BenchVectors) throws -> [BenchRow] {
    var rows: [BenchRow] = []
    var medians: [Int: Double] = [:]
    let requests = try SearchBench.requests(inputs.needs)
    // Real queries among real vectors; where those are seeded, so are these.
    let isReal = vectors.realCount > 0
    for count in try inputs.counts() {
      let folder = try BenchFolder()
      let bench = try inputs.bench(count, vectors, in: folder)
      let encoder =
        isReal && inputs.encoder != nil
        ? SearchEngine.QueryEncoder(encoder: inputs.encoder)
        : SearchEngine.QueryEncoder(embedder: vectors.embedder)
      var whole = BenchRow("search, 8 facet groups", size: count, unit: "ms")
      if (50_000..<100_000).contains(count) { whole.target = .atMost(p50: 2, p95: 5) }
      var stages: [String: BenchRow] = [:]
      var order: [String] = []
      for round in 0..<inputs.rounds {
        let measured = try bench.searches(requests, encoder: encoder)
        whole.ours.append(BenchFigure(measured.whole))
        if round == 0 {
          whole.facts =
            [("p99", measured.whole.percentile(0.99))]
            + measured.whole.facts.map { ($0.name, $0.value) }
          order = measured.stages.map(\.stage)
        }
        for (stage, sample) in measured.stages {
          stages[stage, default: BenchRow("  " + stage, size: count, unit: "ms")]
            .ours.append(BenchFigure(sample))
        }
      }
      medians[count] = whole.oursMedian?.p50
      rows += [whole] + order.compactMap { stages[$0] }
    }
    return rows + growth(medians)
  }

  private static func growth(_ medians: [Int: Double]) -> [BenchRow] {
    guard let small = medians[10_000], let large = medians[1_000_000] else { return [] }
    var row = BenchRow("search, growth of p50 from 10,000", size: 1_000_000, unit: "times")
    row.ours = [BenchFigure(large / small)]
    row.target = .atMost(p50: 20, p95: 20)
    return [row]
  }
}
