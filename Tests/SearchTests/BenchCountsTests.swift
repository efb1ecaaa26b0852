import Catalog
import Foundation
import Primitives
import Search
import Testing
import TestSupport

@Suite("Counts of the benchmark")
struct BenchCountsTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
  private static let fixtures = root + "/Fixtures"

  private static func services() throws -> [Service] {
    try Importer.services(of: fixtures).filter(\.isPublic)
  }

  private static func json(_ path: String) throws -> JSON {
    try JSON.parse(Array(try Data(contentsOf: URL(fileURLWithPath: fixtures + path))))
  }

  private static func needs() throws -> [String] {
    let bytes = Array(
      try Data(contentsOf: URL(fileURLWithPath: fixtures + "/judged/needs.jsonl")))
    return try bytes.split(separator: 0x0A).compactMap {
      try JSON.parse(Array($0))["query"]?.string
    }
  }

  @Test("searches of the shipped needs touch no more than Fixtures/bench-counts.json allows")
  func limits() throws {
    let folder = try TemporaryFolder()
    let counts = try BenchCounts(
      BenchCountsTests.services(), needs: BenchCountsTests.needs(),
      path: folder.path + "/counts.segment")
    #expect(counts.complaints(try BenchCountsTests.json("/bench-counts.json")) == [])
    #expect(counts.allocations == nil)
  }

  @Test("two runs give the same counts")
  func repeats() throws {
    let folder = try TemporaryFolder()
    let services = try BenchCountsTests.services()
    let needs = Array(try BenchCountsTests.needs().prefix(20))
    let counts = try (0..<2).map { run in
      try BenchCounts(services, needs: needs, path: folder.path + "/\(run).segment")
    }
    #expect(counts[0] == counts[1])
    #expect(counts[0].needs == 20)
    #expect(counts[0].postings > 0 && counts[0].candidates >= 20 * 200 && counts[0].totals > 0)
  }

  @Test("a count beyond its limits, or without any, is said by name")
  func complaints() throws {
    let folder = try TemporaryFolder()
    let counts = try BenchCounts(
      Array(try BenchCountsTests.services().prefix(50)), needs: ["speech to text"],
      path: folder.path + "/counts.segment")
    let wide: JSON = ["min": 0, "max": 9_000_000_000]
    var limits: JSONObject = [
      "postings": wide, "vectorBytes": wide, "candidates": wide, "totals": wide,
      "segmentBytes": wide, "needs": ["min": 1, "max": 1],
    ]
    #expect(counts.complaints(.object(limits)) == [])
    limits["needs"] = ["min": 2, "max": 5]
    #expect(counts.complaints(.object(limits)) == ["needs is 1, not 2 to 5"])
    limits["needs"] = ["min": 0, "max": 0]
    #expect(counts.complaints(.object(limits)) == ["needs is 1, not 0 to 0"])
    limits["needs"] = nil
    #expect(counts.complaints(.object(limits)) == ["needs has no limits"])
  }
}

@Suite("Services and vectors of the benchmark")
struct BenchCorpusTests {
  private func corpus() throws -> BenchCorpus {
    let services = try (0..<5).map { number in
      try Service.read([
        "id": .string("real-\(number)"), "name": .string("Real \(number)"),
        "providerId": "acme", "tags": ["alpha", "beta"],
        "description": .string("One of five services that turns speech into text number \(number)"),
      ])
    }
    return BenchCorpus(services)
  }

  @Test("each real service comes once with its own words, then copies with some words changed")
  func copies() throws {
    let corpus = try corpus()
    let all = try (0..<200).map { try corpus.service($0) }
    #expect(Set(all.prefix(5).map(\.name)).count == 5)
    #expect(all.map(\.id) == all.map(\.id).sorted() && Set(all.map(\.id)).count == 200)
    var changedCount = 0
    for (number, service) in all.enumerated() {
      let template = corpus.template(of: number)
      #expect(service.name == template.name && service.list("tags") == template.list("tags"))
      let isChanged = service.text("description") != template.text("description")
      if number < 5 { #expect(!isChanged) } else if isChanged { changedCount += 1 }
    }
    // A word stays with 3/4, or is replaced by itself: eleven of them all stay in one of twenty.
    #expect(changedCount > 150)
    #expect(try corpus.service(77).document == self.corpus().service(77).document)
  }

  @Test("vectors have unit length, repeat by number, and differ between numbers")
  func vectors() {
    let vectors = BenchVectors(seed: 3)
    let again = BenchVectors(seed: 3)
    for number in 0..<50 {
      let vector = vectors.vector(number)
      #expect(vector.count == BenchVectors.dimension)
      #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-4)
      #expect(vector == again.vector(number))
      #expect(vector != vectors.vector(number + 1))
    }
    #expect(vectors.queries(3) == again.queries(3))
    #expect(
      BenchVectors(rows: vectors.vector(0) + vectors.vector(1)).vector(1) == vectors.vector(1))
  }

  @Test("the legs find by words and by meaning what is there, and count what they read")
  func legs() throws {
    let folder = try TemporaryFolder()
    let corpus = try corpus()
    let vectors = BenchVectors()
    let bench = try SearchBench(
      corpus, vectors, count: 6_000, path: folder.path + "/bench.segment", clock: { 0 })
    let text = bench.text(["speech", "quantum"])
    #expect(text.milliseconds.count == 2)
    #expect((text.fact("postings") ?? 0) > 1_000)
    let all = bench.vectors(vectors.queries(20), share: 1)
    #expect((all.fact("recall") ?? 0) >= 0.99)
    #expect(all.fact("allowed") == 6_000)
    // Fewer than are ever scanned: each is read in full and none is missed.
    let few = bench.vectors(vectors.queries(20), share: 0.01)
    let allowed = few.fact("allowed") ?? 0
    #expect((20...120).contains(allowed) && few.fact("recall") == 1)
    #expect(few.fact("bytes") == allowed * Double(BenchVectors.dimension * 4))
  }

  @Test("percentiles are the elements at their share")
  func percentiles() {
    var sample = BenchSample()
    #expect(sample.percentile(0.5).isNaN)
    for time in (1...100).reversed() { sample.note(nanoseconds: Int64(time) * 1_000_000) }
    #expect(sample.percentile(0) == 1 && sample.percentile(0.5) == 51)
    #expect(sample.percentile(0.95) == 96 && sample.percentile(1) == 100)
  }
}

extension BenchCounts {
  /// What a file of limits finds wrong: a count above its `max` or below its `min`, and a count without limits.
  ///
  /// - Parameter limits: `{"postings": {"min": 1, "max": 2}, ...}`.
  /// - Returns: A sentence for each; empty where all holds.
  fileprivate func complaints(_ limits: JSON) -> [String] {
    all.compactMap { name, count in
      guard let least = limits[name]?["min"]?.int, let most = limits[name]?["max"]?.int else {
        return "\(name) has no limits"
      }
      return (least...max(least, most)).contains(Int64(count))
        ? nil : "\(name) is \(count), not \(least) to \(most)"
    }
  }
}

extension BenchSample {
  fileprivate func fact(_ name: String) -> Double? { facts.first { $0.name == name }?.value }
}
