internal import Cryptography
package import Primitives

/// What `waypost tune` has learnt from one marketplace: how it is stored, and what it was measured to be worth.
package struct TunedModel: Sendable, Equatable {
  /// The figures of a training, for people and for the gate.
  package struct Record: Sendable, Equatable {
    /// Where the needs came from: `judged` or `feedback`.
    package var source: String
    package var seed: UInt64
    package var createdAt: Timestamp
    package var needCount: Int
    package var pairCount: Int
    package var serviceCount: Int
    /// Mean nDCG@10 of needs kept apart, before and after.
    package var heldOutBefore: Double
    package var heldOutAfter: Double
    /// The same of the shipped judged needs, where they were measured.
    package var shippedBefore: Double?
    package var shippedAfter: Double?

    package init(
      source: String, seed: UInt64, createdAt: Timestamp, needCount: Int, pairCount: Int,
      serviceCount: Int, heldOutBefore: Double, heldOutAfter: Double, shippedBefore: Double? = nil,
      shippedAfter: Double? = nil
    ) {
      self.source = source
      self.seed = seed
      self.createdAt = createdAt
      self.needCount = needCount
      self.pairCount = pairCount
      self.serviceCount = serviceCount
      self.heldOutBefore = heldOutBefore
      self.heldOutAfter = heldOutAfter
      self.shippedBefore = shippedBefore
      self.shippedAfter = shippedAfter
    }
  }

  /// The map of the embedding, or nil where it stays as it is.
  package var adapter: Adapter?
  /// The weights of the fusion, or nil for the shipped ones.
  package var weights: FusionTrainer.Weights?
  /// Words learnt for services.
  package var terms: LearnedTerms
  /// The embedding model that the map belongs to.
  package let modelID: String
  package var record: Record

  package init(
    adapter: Adapter?, weights: FusionTrainer.Weights?, terms: LearnedTerms, modelID: String,
    record: Record
  ) {
    self.adapter = adapter
    self.weights = weights
    self.terms = terms
    self.modelID = modelID
    self.record = record
  }
}

/// Why the files of a tuned model are not used.
package enum TunedModelError: Error, Equatable, Sendable {
  /// The file is not there or cannot be read.
  case missing(file: String)
  /// The file cannot be written.
  case unwritable(file: String)
  /// It was made by another version of the format.
  case otherVersion(found: Int64)
  /// It belongs to another embedding model.
  case foreign(modelID: String, expected: String)
  /// What is wrong with it.
  case damaged(file: String, fault: Fault)

  /// What a damaged file has.
  package enum Fault: String, Sendable {
    case notJSON, fieldMissing, wrongSize, wrongSum, notFinite, outOfRange
  }

  /// What happened, and what helps.
  package var words: String {
    switch self {
    case .missing(let file): "A tuned model's \(file) is missing; waypost tune learns a new one."
    case .unwritable(let file): "A tuned model's \(file) cannot be written."
    case .otherVersion(let found):
      "A tuned model has version \(found), this program reads \(TunedFiles.version); learn it anew."
    case .foreign(let modelID, let expected):
      "A tuned model belongs to the embedding model \(modelID), this program has \(expected)."
    case .damaged(let file, let fault):
      "A tuned model's \(file) is damaged (\(fault.rawValue)); waypost tune learns a new one."
    }
  }
}

/// The two files of a tuned model: `tuned.json`, and `adapter.f32` where there is a map, little-endian.
package enum TunedFiles {
  package static let version: Int64 = 1
  static let document = "tuned.json"
  static let adapter = "adapter.f32"
  /// Bytes of one file that are read.
  static let byteCountMax = 256 * 1_024 * 1_024
  private static let dimensionMax = 4_096
  private static let format = "waypost-tuned"

  /// The contents, ready to be written.
  package static func encode(_ model: TunedModel) -> (document: [UInt8], adapter: [UInt8]?) {
    let bytes = model.adapter.map { adapter in
      adapter.elements.flatMap { element in
        let bits = element.bitPattern
        return (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt32(8 * $0)) }
      }
    }
    var object: JSONObject = [
      "format": .string(format), "version": .int(version), "modelId": .string(model.modelID),
      "record": .object(json(model.record)),
    ]
    if let adapter = model.adapter, let bytes {
      object["adapter"] = [
        "dimension": .number(adapter.dimension), "sha256": .string(sum(bytes)),
      ]
    }
    if let weights = model.weights {
      object["vectorShare"] = numbers(weights.vectorShare.map { ($0.key.rawValue, $0.value) })
    }
    // Lists, not an object by id: look-up in a JSON object is linear.
    object["terms"] = .array(
      model.terms.weights.sorted { $0.key < $1.key }.map { service, terms in
        let pairs = terms.sorted { $0.key < $1.key }
        return [
          "serviceId": .string(service), "terms": .strings(pairs.map(\.key)),
          "weights": .array(pairs.map { .double(Double($0.value)) }),
        ]
      })
    return (JSON.object(object).bytes, bytes)
  }

  /// Reads the contents back.
  ///
  /// - Parameter modelID: The embedding model of this program.
  /// - Throws: `TunedModelError`.
  package static func decode(
    document bytes: [UInt8], modelID: String, adapter read: () throws(TunedModelError) -> [UInt8]
  ) throws(TunedModelError) -> TunedModel {
    guard let json = try? JSON.parse(bytes), json["format"]?.string == format else {
      throw .damaged(file: document, fault: .notJSON)
    }
    let found = json["version"]?.int ?? 0
    guard found == version else { throw .otherVersion(found: found) }
    let owner = json["modelId"]?.string ?? ""
    guard owner == modelID else { throw .foreign(modelID: owner, expected: modelID) }
    var map: Adapter?
    if let described = json["adapter"] { map = try adapter(described, try read()) }
    return TunedModel(
      adapter: map, weights: try weights(json), terms: try terms(json["terms"]?.array ?? []),
      modelID: owner, record: try record(json["record"]))
  }

  private static func adapter(
    _ described: JSON, _ bytes: [UInt8]
  ) throws(TunedModelError) -> Adapter {
    guard let dimension = described["dimension"]?.int.flatMap({ Int(exactly: $0) }),
      let expected = described["sha256"]?.string, (1...dimensionMax).contains(dimension)
    else { throw .damaged(file: document, fault: .fieldMissing) }
    guard bytes.count == 4 * dimension * dimension else {
      throw .damaged(file: adapter, fault: .wrongSize)
    }
    guard sum(bytes) == expected else { throw .damaged(file: adapter, fault: .wrongSum) }
    let elements = stride(from: 0, to: bytes.count, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
    }
    guard elements.allSatisfy(\.isFinite) else {
      throw .damaged(file: adapter, fault: .notFinite)
    }
    return Adapter(dimension: dimension, elements: elements)
  }

  private static func weights(
    _ json: JSON
  ) throws(TunedModelError) -> FusionTrainer.Weights? {
    guard let shares = json["vectorShare"]?.object else { return nil }
    var weights = FusionTrainer.Weights(vectorShare: [:])
    for member in shares.members {
      guard let name = RankingConfiguration.QueryClass(rawValue: member.key),
        let share = member.value.double, (0...1).contains(share)
      else { throw .damaged(file: document, fault: .outOfRange) }
      weights.vectorShare[name] = Float(share)
    }
    return weights
  }

  private static func terms(_ list: [JSON]) throws(TunedModelError) -> LearnedTerms {
    var all: [String: [String: Float]] = [:]
    for entry in list {
      guard let service = entry["serviceId"]?.string, let names = entry["terms"]?.array,
        let values = entry["weights"]?.array, names.count == values.count
      else { throw .damaged(file: document, fault: .fieldMissing) }
      var own: [String: Float] = [:]
      for (name, value) in zip(names, values) {
        guard let name = name.string, let weight = value.double, weight >= 0, weight < 1e6 else {
          throw .damaged(file: document, fault: .outOfRange)
        }
        own[name] = Float(weight)
      }
      all[service] = own
    }
    return LearnedTerms(weights: all)
  }

  private static func json(_ record: TunedModel.Record) -> JSONObject {
    var object: JSONObject = [
      // A seed may need all 64 bits, and JSON's integers have a sign.
      "source": .string(record.source), "seed": .string(String(record.seed)),
      "createdMs": .int(record.createdAt.milliseconds), "needs": .number(record.needCount),
      "pairs": .number(record.pairCount), "services": .number(record.serviceCount),
      "heldOutBefore": .double(record.heldOutBefore), "heldOutAfter": .double(record.heldOutAfter),
    ]
    if let before = record.shippedBefore { object["shippedBefore"] = .double(before) }
    if let after = record.shippedAfter { object["shippedAfter"] = .double(after) }
    return object
  }

  private static func record(_ json: JSON?) throws(TunedModelError) -> TunedModel.Record {
    guard let json, let source = json["source"]?.string,
      let seed = json["seed"]?.string.flatMap({ UInt64($0) }),
      let created = json["createdMs"]?.int, let needs = json["needs"]?.int,
      let pairs = json["pairs"]?.int, let services = json["services"]?.int,
      let before = json["heldOutBefore"]?.double, let after = json["heldOutAfter"]?.double
    else { throw .damaged(file: document, fault: .fieldMissing) }
    return TunedModel.Record(
      source: source, seed: seed, createdAt: Timestamp(milliseconds: created),
      needCount: Int(needs), pairCount: Int(pairs), serviceCount: Int(services),
      heldOutBefore: before, heldOutAfter: after, shippedBefore: json["shippedBefore"]?.double,
      shippedAfter: json["shippedAfter"]?.double)
  }

  private static func numbers(_ values: [(String, Float)]) -> JSON {
    .object(
      values.sorted { $0.0 < $1.0 }.reduce(into: JSONObject()) {
        $0[$1.0] = .double(Double($1.1))
      })
  }

  private static func sum(_ bytes: [UInt8]) -> String { BytesText.hex(Digest.sha256(bytes)) }
}
