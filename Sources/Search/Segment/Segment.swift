internal import Catalog
internal import LinearAlgebra
internal import Primitives

/// A service made ready for a segment.
struct PreparedService: Sendable {
  let stored: StoredService
  let terms: Analyzer.Terms
  /// Unit vector, or nil where there is no model.
  let vector: [Float]?
}

/// An immutable part of the index: postings, vectors, columns and stored answers of its services.
final class Segment: Sendable {
  /// Postings of one term: `services` rising, `impacts` the saturated term frequency (BM25 without idf).
  struct Postings {
    let services: ArraySlice<Int32>
    let impacts: ArraySlice<Float>
  }

  /// Services, in order of id.
  let count: Int
  let ids: [String]
  let names: [String]
  let providerIDs: [String]
  /// The service part of a hit, as JSON text.
  let documents: [[UInt8]]
  /// The first row of each service, and one past the last.
  let rowStarts: [Int32]
  /// The service of each row.
  let rowService: [Int32]
  /// The offer of each row as JSON text; empty where the service has none.
  let offers: [[UInt8]]
  let columns: [String: Column]
  let vectors: Matrix
  let hasVector: Bitset
  /// Services by their folded name and id: letters and digits only.
  let named: [String: [Int32]]
  private let termCodes: [String: Int32]
  private let termStarts: [Int32]
  private let postingServices: [Int32]
  private let postingImpacts: [Float]

  var rowCount: Int { rowService.count }

  /// - Parameter averageLength: Tokens a service on average, over the whole index.
  init(_ services: [PreparedService], averageLength: Float, configuration: RankingConfiguration) {
    let sorted = services.sorted { $0.stored.service.id < $1.stored.service.id }
    count = sorted.count
    ids = sorted.map(\.stored.service.id)
    names = sorted.map(\.stored.service.name)
    providerIDs = sorted.map(\.stored.service.providerID)
    documents = sorted.map { HitDocument.bytes(of: $0.stored) }
    var named: [String: [Int32]] = [:]
    for (index, prepared) in sorted.enumerated() {
      let service = prepared.stored.service
      for key in Set([Segment.fold(service.name), Segment.fold(service.id)]) where !key.isEmpty {
        named[key, default: []].append(Int32(index))
      }
    }
    self.named = named
    var starts: [Int32] = [0]
    var owners: [Int32] = []
    var offers: [[UInt8]] = []
    for (index, prepared) in sorted.enumerated() {
      let list = prepared.stored.service.offers
      owners += [Int32](repeating: Int32(index), count: max(list.count, 1))
      offers += list.isEmpty ? [[]] : list.map { JSON.object($0.document).bytes }
      starts.append(Int32(owners.count))
    }
    rowStarts = starts
    rowService = owners
    self.offers = offers
    columns = Segment.columns(of: sorted)
    var vectors = Matrix(columnCount: 384)
    vectors.reserve(rowCount: sorted.count)
    var hasVector = Bitset(count: sorted.count)
    let zero = [Float](repeating: 0, count: 384)
    for (index, prepared) in sorted.enumerated() {
      if prepared.vector != nil { hasVector.insert(index) }
      vectors.append(prepared.vector ?? zero)
    }
    self.vectors = vectors
    self.hasVector = hasVector
    var build = PostingsBuilder()
    for (index, prepared) in sorted.enumerated() {
      build.add(prepared.terms, service: Int32(index), averageLength, configuration)
    }
    (termCodes, termStarts, postingServices, postingImpacts) = build.finish()
  }

  /// The postings of a term, or nil where no service has it.
  func postings(_ term: String) -> Postings? {
    guard let code = termCodes[term] else { return nil }
    let range = Int(termStarts[Int(code)])..<Int(termStarts[Int(code) + 1])
    return Postings(services: postingServices[range], impacts: postingImpacts[range])
  }

  /// A name as it is compared: letters and digits, lower case.
  static func fold(_ name: String) -> String {
    String(
      name.lowercased().unicodeScalars.filter {
        $0.properties.isAlphabetic || $0.properties.numericType != nil
      }.map(Character.init))
  }

  /// Every term with how many services have it; for typo correction.
  func forEachTerm(_ body: (String, Int) -> Void) {
    for (term, code) in termCodes {
      body(term, Int(termStarts[Int(code) + 1] - termStarts[Int(code)]))
    }
  }

  /// The place of a service, by binary search over the sorted ids.
  func index(of id: String) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if ids[middle] < id { low = middle + 1 } else { high = middle }
    }
    return low < count && ids[low] == id ? low : nil
  }

  private static func columns(of services: [PreparedService]) -> [String: Column] {
    var columns: [String: Column] = [:]
    for field in IndexField.all {
      var builder = ColumnBuilder(isNumeric: field.kind != .words && field.kind != .flags)
      for prepared in services {
        let list = prepared.stored.service.offers
        if list.isEmpty { builder.append(field.read(prepared.stored, nil)) }
        for offer in list { builder.append(field.read(prepared.stored, offer)) }
      }
      columns[field.name] = builder.build()
    }
    return columns
  }
}

/// Collects postings: terms get codes as they come, then a counting sort by term keeps services rising.
private struct PostingsBuilder {
  private var codes: [String: Int32] = [:]
  private var entries: [(term: Int32, service: Int32, impact: Float)] = []

  mutating func add(
    _ terms: Analyzer.Terms, service: Int32, _ averageLength: Float,
    _ configuration: RankingConfiguration
  ) {
    let k1 = configuration.k1
    let norm = k1 * (1 - configuration.b + configuration.b * Float(terms.length) / averageLength)
    for (term, frequency) in terms.weights {
      let code = codes[term] ?? Int32(codes.count)
      codes[term] = code
      entries.append((code, service, frequency * (k1 + 1) / (frequency + norm)))
    }
  }

  consuming func finish() -> ([String: Int32], [Int32], [Int32], [Float]) {
    var starts = [Int32](repeating: 0, count: codes.count + 1)
    for entry in entries { starts[Int(entry.term) + 1] += 1 }
    for index in 1..<max(starts.count, 1) { starts[index] += starts[index - 1] }
    var next = starts
    var services = [Int32](repeating: 0, count: entries.count)
    var impacts = [Float](repeating: 0, count: entries.count)
    for entry in entries {
      let place = Int(next[Int(entry.term)])
      services[place] = entry.service
      impacts[place] = entry.impact
      next[Int(entry.term)] += 1
    }
    return (codes, starts, services, impacts)
  }
}
