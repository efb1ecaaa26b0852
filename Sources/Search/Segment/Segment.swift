internal import Catalog
internal import Embedding
internal import Primitives

/// An immutable part of the index: postings, vectors, columns and stored answers of its services, in order of
/// id. Everything is read where it lies, in a mapped file or in memory, so that opening costs next to nothing.
final class Segment: Sendable {
  /// Postings of one term: `services` rising, `impacts` the saturated term frequency (BM25 without idf).
  struct Postings {
    let services: UnsafeBufferPointer<UInt32>
    let impacts: UnsafeBufferPointer<Float>
  }

  let count: Int
  let rowCount: Int
  /// Tokens a service on average, as the impacts were computed with.
  let averageLength: Float
  /// What the builder noted: the revision that the segment contains, and what it was made with.
  let facts: JSONObject
  let blob: Blob
  let ids: TextTable
  let names: TextTable
  private let documents: TextTable
  private let offers: TextTable
  /// How good each service is said to be, 0...1 (`QualityPrior`).
  let quality: View<Float>
  /// The first row of each service, and one past the last.
  let rowStarts: View<Int32>
  /// The service of each row.
  let rowService: View<Int32>
  private let costSources: View<UInt8>
  private let columns: [String: Column]
  /// Every term, sorted.
  let terms: TextTable
  private let termHashes: TextHashes
  private let postingStarts: View<UInt32>
  private let postingServices: View<UInt32>
  private let postingImpacts: View<Float>
  /// Terms that a marketplace has learnt for services, sorted.
  let learnedTerms: TextTable
  private let learnedStarts: View<UInt32>
  private let learnedServices: View<UInt32>
  private let learnedImpacts: View<Float>
  private let sequenceStarts: View<UInt64>
  private let sequenceTerms: View<Int32>
  /// Every word as it is written, in lower case, sorted; and how many services have it.
  let words: TextTable
  let wordCounts: View<UInt32>
  /// Services by their folded name and id (`fold`), sorted.
  let foldedNames: TextTable
  private let foldedStarts: View<UInt32>
  private let foldedServices: View<UInt32>
  /// Where vectors are compared.
  let space: VectorSpace
  /// Unit vectors in that space, `count x 384`; zeros where there is none.
  let vectors: View<Float>
  /// Their signs, `count x 6` words.
  let vectorBits: View<UInt64>
  let hasVector: Bitset

  /// Reads a segment.
  /// - Throws: `SegmentError.damaged`.
  init(_ reader: SegmentReader) throws {
    blob = reader.blob
    facts = reader.facts
    averageLength = Float(facts["averageLength"]?.double ?? 100)
    ids = try reader.texts("id")
    let count = ids.count
    self.count = count
    names = try reader.texts("name", count: count)
    documents = try reader.texts("document", count: count)
    quality = try reader.view("quality", count: count)
    rowStarts = try reader.view("row/starts", count: count + 1)
    let rowCount = Int(rowStarts[count])
    self.rowCount = rowCount
    rowService = try reader.view("row/service", count: rowCount)
    offers = try reader.texts("offer", count: rowCount)
    costSources = try reader.view("row/cost", count: rowCount)
    terms = try reader.texts("term")
    termHashes = TextHashes(table: terms, slots: try reader.view("term/slots"))
    guard termHashes.slots.count.nonzeroBitCount <= 1 else {
      throw SegmentError.damaged(section: "term/slots")
    }
    postingStarts = try reader.view("posting/starts", count: terms.count + 1)
    let postingCount = Int(postingStarts[terms.count])
    postingServices = try reader.view("posting/services", count: postingCount)
    postingImpacts = try reader.view("posting/impacts", count: postingCount)
    learnedTerms = try reader.texts("learned")
    learnedStarts = try reader.view("learned/starts", count: learnedTerms.count + 1)
    let learnedCount = Int(learnedStarts[learnedTerms.count])
    learnedServices = try reader.view("learned/services", count: learnedCount)
    learnedImpacts = try reader.view("learned/impacts", count: learnedCount)
    sequenceStarts = try reader.view("sequence/starts", count: count + 1)
    sequenceTerms = try reader.view("sequence/terms", count: Int(sequenceStarts[count]))
    words = try reader.texts("word")
    wordCounts = try reader.view("word/counts", count: words.count)
    foldedNames = try reader.texts("folded")
    foldedStarts = try reader.view("folded/starts", count: foldedNames.count + 1)
    foldedServices = try reader.view(
      "folded/services", count: Int(foldedStarts[foldedNames.count]))
    space = try Segment.space(reader)
    vectors = try reader.view("vector/values", count: count * Encoder.dimension)
    vectorBits = try reader.view("vector/bits", count: count * Segment.bitWordCount)
    hasVector = Bitset(
      count: count, words: try reader.view("vector/known", count: (count + 63) / 64).buffer)
    var columns: [String: Column] = [:]
    for field in IndexField.all {
      columns[field.name] = try reader.column(
        "column/" + field.name, isNumeric: field.kind.isNumeric, rowCount: rowCount)
    }
    self.columns = columns
    blob.expectScatteredReads(reader.range("vector/values"))
    blob.expectScatteredReads(reader.range("document.bytes"))
  }

  /// The space that its vectors lie in.
  private static func space(_ reader: SegmentReader) throws -> VectorSpace {
    let mean: View<Float> = try reader.view("vector/mean", count: Encoder.dimension)
    let map: View<Float> = try reader.view("vector/map")
    guard map.count == 0 || map.count == Encoder.dimension * Encoder.dimension else {
      throw SegmentError.damaged(section: "vector/map")
    }
    return VectorSpace(
      mean: Array(mean.buffer),
      adapter: map.count == 0
        ? nil : Adapter(dimension: Encoder.dimension, elements: Array(map.buffer)))
  }

  /// Words of 64 bits in a vector's signs.
  static let bitWordCount = Encoder.dimension / 64

  /// A segment in memory: on its own, or as a part of an index beside its base.
  static func inMemory(
    _ services: [PreparedService], beside base: Segment? = nil, adapter: Adapter? = nil,
    configuration: RankingConfiguration
  ) throws -> Segment {
    let averageLength = base?.averageLength
    var builder = SegmentBuilder()
    let sorted = services.sorted {
      TextTableBuilder.precedes($0.stored.service.id, $1.stored.service.id)
    }
    for service in sorted { builder.add(service) }
    var sink = MemorySink()
    let average = averageLength ?? builder.averageLength
    try builder.write(
      to: &sink, averageLength: average, beside: base, adapter: adapter, configuration)
    var contents = sink.contents
    contents.facts["averageLength"] = .double(Double(average))
    return try Segment(SegmentReader(blob: sink.blob(), contents: contents))
  }

  func id(_ index: Int) -> String { ids.text(index) }
  func name(_ index: Int) -> String { names.text(index) }

  /// The service part of a hit, as JSON text.
  func document(_ index: Int) -> [UInt8] { Array(documents.span(index)) }

  /// The offer of a row as JSON text; empty where the service has none.
  func offer(row: Int) -> [UInt8] { Array(offers.span(row)) }

  /// Whether the row is an offer, and not the one row of a service without offers.
  func hasOffer(row: Int) -> Bool { !offers.span(row).isEmpty }

  /// Where the cost of a row's offer is to be read.
  func costSource(row: Int) -> CostSource { CostSource(rawValue: costSources[row]) ?? .offer }

  /// The rows (offers) of a service.
  @inline(__always) func rows(of index: Int) -> Range<Int> {
    Int(rowStarts[index])..<Int(rowStarts[index + 1])
  }

  /// The column of a field, or nil where nothing is known of it.
  func column(_ field: String) -> Column? { columns[field] }

  /// The unit vector of a service in the segment's space, or nil.
  func vector(_ index: Int) -> [Float]? {
    guard hasVector[index] else { return nil }
    let start = vectors.base + index * Encoder.dimension
    return Array(UnsafeBufferPointer(start: start, count: Encoder.dimension))
  }

  /// The postings of a term, or nil where no service has it.
  func postings(_ term: String) -> Postings? { place(ofTerm: term).map(postings(at:)) }

  /// The place of a term, or nil.
  func place(ofTerm term: String) -> Int? { termHashes.index(of: term) }

  /// The services that needs with a term have led to, or nil where there are none.
  func learnedPostings(_ term: String) -> Postings? {
    guard learnedTerms.count > 0, let place = learnedTerms.index(of: term) else { return nil }
    let start = Int(learnedStarts[place])
    let count = Int(learnedStarts[place + 1]) - start
    return Postings(
      services: UnsafeBufferPointer(start: learnedServices.base + start, count: count),
      impacts: UnsafeBufferPointer(start: learnedImpacts.base + start, count: count))
  }

  /// The services that have a term.
  func services(withTerm term: String) -> Bitset {
    var services = Bitset(count: count)
    if let postings = postings(term) {
      for service in postings.services { services.insert(Int(service)) }
    }
    return services
  }

  /// The postings of a term by its place.
  func postings(at place: Int) -> Postings {
    let start = Int(postingStarts[place])
    let count = Int(postingStarts[place + 1]) - start
    return Postings(
      services: UnsafeBufferPointer(start: postingServices.base + start, count: count),
      impacts: UnsafeBufferPointer(start: postingImpacts.base + start, count: count))
  }

  /// The places of a service's terms in their order, -1 behind each field.
  func sequence(_ index: Int) -> UnsafeBufferPointer<Int32> {
    let start = Int(sequenceStarts[index])
    return UnsafeBufferPointer(
      start: sequenceTerms.base + start, count: Int(sequenceStarts[index + 1]) - start)
  }

  /// The services whose folded name or id is the key.
  func services(named key: String) -> [Int] {
    foldedNames.index(of: key).map(services(ofNameAt:)) ?? []
  }

  /// The services of a folded name by its place.
  func services(ofNameAt place: Int) -> [Int] {
    (Int(foldedStarts[place])..<Int(foldedStarts[place + 1])).map { Int(foldedServices[$0]) }
  }

  /// A name as it is compared: letters and digits, lower case.
  static func fold(_ name: String) -> String {
    String(
      String.UnicodeScalarView(
        name.lowercased().unicodeScalars.filter {
          $0.properties.isAlphabetic || $0.properties.numericType != nil
        }))
  }

  /// The place of a service, by binary search over the sorted ids.
  func index(of id: String) -> Int? { ids.index(of: id) }
}
