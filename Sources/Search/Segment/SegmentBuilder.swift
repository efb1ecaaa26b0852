internal import Catalog
internal import Embedding
internal import LinearAlgebra
internal import Primitives

/// A service made ready for a segment.
struct PreparedService: Sendable {
  let stored: StoredService
  let terms: Analyzer.Terms
  /// Unit vector, or nil where there is no model.
  let vector: [Float]?
}

/// Collects a segment, service by service, in rising order of id (by bytes).
struct SegmentBuilder {
  private var ids = TextTableBuilder()
  private var names = TextTableBuilder()
  private var documents = TextTableBuilder()
  private var offers = TextTableBuilder()
  private var rowStarts: [Int32] = [0]
  private var rowService: [Int32] = []
  private var costSources: [UInt8] = []
  private var qualities: [QualityPrior] = []
  private var columns: [ColumnBuilder]
  private var folded: [String: [UInt32]] = [:]
  private var vectors: [Float] = []
  private var vectorKnown: [Int] = []
  private var postings = PostingsBuilder()
  private var lastID = ""

  var count: Int { ids.count }
  var averageLength: Float { postings.averageLength }

  init() {
    columns = IndexField.all.map { ColumnBuilder(isNumeric: $0.kind.isNumeric) }
  }

  mutating func add(_ prepared: PreparedService) {
    let service = prepared.stored.service
    precondition(
      ids.count == 0 || TextTableBuilder.precedes(lastID, service.id),
      "services come in rising order of id")
    lastID = service.id
    let index = UInt32(ids.count)
    ids.append(service.id.utf8)
    names.append(service.name.utf8)
    documents.append(HitDocument.bytes(of: prepared.stored))
    qualities.append(QualityPrior(service))
    for key in Set([Segment.fold(service.name), Segment.fold(service.id)]) where !key.isEmpty {
      folded[key, default: []].append(index)
    }
    let list = service.offers
    rowService += [Int32](repeating: Int32(index), count: max(list.count, 1))
    rowStarts.append(Int32(rowService.count))
    if list.isEmpty {
      offers.append([])
      costSources.append(CostSource(nil).rawValue)
    }
    for offer in list {
      let document = JSON.object(offer.document)
      offers.append(document.bytes)
      costSources.append(CostSource(document).rawValue)
    }
    for (number, field) in IndexField.all.enumerated() {
      if list.isEmpty { columns[number].append(field.read(prepared.stored, nil)) }
      if field.isOfferField {
        for offer in list { columns[number].append(field.read(prepared.stored, offer)) }
      } else if !list.isEmpty {
        let value = field.read(prepared.stored, list[0])
        for _ in list { columns[number].append(value) }
      }
    }
    if let vector = prepared.vector, vector.count == Encoder.dimension {
      vectors.append(contentsOf: vector)
      vectorKnown.append(Int(index))
    } else {
      vectors.append(contentsOf: repeatElement(0, count: Encoder.dimension))
    }
    postings.add(prepared.terms)
  }

  /// Writes every section.
  /// - Parameters:
  ///   - averageLength: Tokens a service on average over the whole index; nil takes this segment's.
  ///   - base: The base of the index, whose vector space is taken over; nil makes a space from this segment's
  ///     vectors and the map.
  consuming func write(
    to sink: inout some SectionSink, averageLength: Float?, beside base: Segment?,
    adapter: Adapter?, _ configuration: RankingConfiguration
  ) throws {
    try sink.add("id", ids)
    try sink.add("name", names)
    try sink.add("document", documents)
    try sink.add("offer", offers)
    try sink.add("quality", qualities.map { $0.value(configuration.quality) }, isStructure: true)
    try sink.add("row/starts", rowStarts, isStructure: true)
    try sink.add("row/service", rowService, isStructure: true)
    try sink.add("row/cost", costSources, isStructure: true)
    try postings.write(
      to: &sink, averageLength: averageLength ?? postings.averageLength, beside: base,
      configuration)
    let (keys, order) = TextTableBuilder.sorted(Array(folded.keys))
    let lists = Array(folded.values)
    var starts: [UInt32] = [0]
    var services: [UInt32] = []
    for number in order {
      services += lists[number]
      starts.append(UInt32(services.count))
    }
    try sink.add("folded", keys)
    try sink.add("folded/starts", starts, isStructure: true)
    try sink.add("folded/services", services, isStructure: true)
    for (number, field) in IndexField.all.enumerated() {
      try columns[number].write("column/" + field.name, to: &sink)
    }
    try writeVectors(to: &sink, space: base?.space, adapter)
  }

  private mutating func writeVectors(
    to sink: inout some SectionSink, space: VectorSpace?, _ adapter: Adapter?
  ) throws {
    let space =
      space
      ?? VectorSpace(mean: VectorSpace.mean(of: vectors, known: vectorKnown), adapter: adapter)
    space.transform(services: &vectors, known: vectorKnown)
    try sink.add("vector/mean", space.mean, isStructure: false)
    try sink.add("vector/map", space.adapter?.elements ?? [], isStructure: false)
    var known = Bitset(count: count)
    for index in vectorKnown { known.insert(index) }
    try sink.add("vector/known", known.words, isStructure: true)
    var bits = [UInt64](repeating: 0, count: count * Segment.bitWordCount)
    SearchKernels.signBits(vectors, count: count, dimension: Encoder.dimension, into: &bits)
    try sink.add("vector/bits", bits, isStructure: false)
    try sink.add("vector/values", vectors, isStructure: false)
  }
}

extension IndexField.Kind {
  var isNumeric: Bool { self != .words && self != .flags }
}
