import Foundation
import Primitives
import Search
import Testing
import TestSupport

@Suite("The files of a tuned model")
struct LearningModelTests {
  private func model(_ seed: UInt64 = 1, adapter: Bool = true) -> TunedModel {
    TunedModel(
      adapter: adapter ? Adapter(dimension: 2, elements: [1, 0.5, -0.25, Float(seed)]) : nil,
      weights: adapter
        ? FusionTrainer.Weights(vectorShare: [.name: 0.25, .task: 0.75]) : nil,
      terms: LearnedTerms(weights: ["s-1": ["talk": 0.5, "speech": 0.25], "s-2": [:]]),
      modelID: "model-a",
      record: TunedModel.Record(
        source: "feedback", seed: .max, createdAt: Moment.first, needCount: 3, pairCount: 4,
        serviceCount: 2, heldOutBefore: 0.5, heldOutAfter: 0.625,
        shippedBefore: adapter ? 0.7 : nil, shippedAfter: adapter ? 0.75 : nil))
  }

  private func decode(_ model: TunedModel, as modelID: String = "model-a") throws -> TunedModel {
    let (document, adapter) = TunedFiles.encode(model)
    return try TunedFiles.decode(document: document, modelID: modelID) { adapter ?? [] }
  }

  @Test("what is written is read back")
  func round() throws {
    for hasAdapter in [true, false] {
      let model = model(adapter: hasAdapter)
      #expect(try decode(model) == model)
      #expect((TunedFiles.encode(model).adapter == nil) == !hasAdapter)
    }
  }

  @Test("another embedding model's files are refused")
  func foreign() {
    #expect(throws: TunedModelError.foreign(modelID: "model-a", expected: "model-b")) {
      try decode(model(), as: "model-b")
    }
  }

  @Test("every damaged byte of the map is found, and a wrong length")
  func adapter() {
    let (document, bytes) = TunedFiles.encode(model())
    let whole = bytes ?? []
    #expect(whole.count == 16)
    func fault(_ bytes: [UInt8]) -> TunedModelError? {
      do {
        _ = try TunedFiles.decode(document: document, modelID: "model-a") { bytes }
        return nil
      } catch { return error }
    }
    for index in whole.indices {
      var broken = whole
      broken[index] ^= 1
      #expect(fault(broken) == .damaged(file: "adapter.f32", fault: .wrongSum))
    }
    #expect(fault([]) == .damaged(file: "adapter.f32", fault: .wrongSize))
    #expect(fault(whole + [0]) == .damaged(file: "adapter.f32", fault: .wrongSize))
    #expect(fault(whole) == nil)
  }

  @Test("numbers that are none are refused even with a right sum")
  func notFinite() {
    var broken = model()
    broken.adapter = Adapter(dimension: 1, elements: [.infinity])
    #expect(throws: TunedModelError.damaged(file: "adapter.f32", fault: .notFinite)) {
      try decode(broken)
    }
  }

  @Test("a damaged document is refused, wherever it is cut or changed")
  func document() throws {
    let (document, adapter) = TunedFiles.encode(model())
    func decode(_ bytes: [UInt8]) throws -> TunedModel {
      try TunedFiles.decode(document: bytes, modelID: "model-a") { adapter ?? [] }
    }
    for count in stride(from: 0, to: document.count, by: 7) {
      #expect(throws: TunedModelError.damaged(file: "tuned.json", fault: .notJSON)) {
        try decode(Array(document[..<count]))
      }
    }
    func changed(_ old: String, _ new: String) -> [UInt8] {
      Array(String(decoding: document, as: UTF8.self).replacing(old, with: new).utf8)
    }
    #expect(throws: TunedModelError.otherVersion(found: 9)) {
      try decode(changed("\"version\":1", "\"version\":9"))
    }
    for (old, new) in [
      ("\"task\":0.75", "\"task\":1.75"), ("\"task\"", "\"tusk\""),
      ("[0.25,0.5]", "[-1,0.5]"),
    ] {
      #expect(throws: TunedModelError.damaged(file: "tuned.json", fault: .outOfRange)) {
        try decode(changed(old, new))
      }
    }
    for (old, new) in [
      ("\"needs\":3", "\"noods\":3"), ("\"sha256\"", "\"sha\""), ("[0.25,0.5]", "[0.25]"),
      ("\"dimension\":2", "\"dimension\":0"),
    ] {
      #expect(throws: TunedModelError.damaged(file: "tuned.json", fault: .fieldMissing)) {
        try decode(changed(old, new))
      }
    }
  }

  @Test("models are published in order, and one command goes back")
  func folder() throws {
    let folder = try TemporaryFolder()
    let models = TunedModels(dataFolder: folder.path, modelID: "model-a")
    #expect(try models.current() == nil)
    #expect(throws: TunedModelError.missing(file: "current")) { try models.rollback() }
    for number in 1...7 {
      #expect(try models.publish(model(UInt64(number))) == number)
    }
    #expect(models.currentNumber == 7)
    #expect(try models.current()?.model == model(7))
    // The oldest are gone, the newest five stay.
    #expect(throws: TunedModelError.missing(file: "tuned.json")) { try models.model(2) }
    #expect(try models.model(3) == model(3))
    #expect(try models.rollback() == 6)
    #expect(try models.current()?.model == model(6))
    // What was taken back is not gone back to.
    #expect(try models.publish(model(8, adapter: false)) == 7)
    #expect(try models.rollback() == 6)
    for expected in [5, 4, 3] { #expect(try models.rollback() == expected) }
    #expect(try models.rollback() == nil)
    #expect(models.currentNumber == nil)
    #expect(try models.current() == nil)
  }

  @Test("a named model that cannot be used is an error, never another ranking")
  func broken() throws {
    let folder = try TemporaryFolder()
    let models = TunedModels(dataFolder: folder.path, modelID: "model-a")
    let number = try models.publish(model())
    let path = folder.path + "/index/tuned/\(number)/adapter.f32"
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
    #expect(throws: TunedModelError.damaged(file: "adapter.f32", fault: .wrongSize)) {
      try models.current()
    }
    try FileManager.default.removeItem(atPath: path)
    #expect(throws: TunedModelError.missing(file: "adapter.f32")) { try models.current() }
    let other = TunedModels(dataFolder: folder.path, modelID: "model-b")
    #expect(throws: TunedModelError.foreign(modelID: "model-a", expected: "model-b")) {
      try other.current()
    }
  }
}
