import Embedding
import LinearAlgebra
import Testing

/// One way to compute the layers; each is tested wherever the processor has it.
private struct Engine: CustomTestStringConvertible, Sendable {
  let precision: Embedding.Encoder.Precision
  let instructions: InstructionSet?
  /// The least cosine with the reference.
  let floor: Double

  var testDescription: String {
    precision.rawValue + (instructions.map { ", \($0)" } ?? "")
  }

  static let all: [Engine] =
    [Engine(precision: .portable, instructions: nil, floor: 0.999_99)]
    + InstructionSet.available.flatMap {
      [
        Engine(precision: .float, instructions: $0, floor: 0.999_99),
        Engine(precision: .int16, instructions: $0, floor: 0.999_9),
      ]
    }

  func encoder() throws -> Embedding.Encoder {
    try Embedding.Encoder(
      folder: Model.folder, precision: precision, instructions: instructions)
  }
}

@Suite(
  "the encoder is all-MiniLM-L6-v2",
  .enabled(if: Model.isPresent, "skipped: no model in $WAYPOST_HOME/model or .waypost/model"))
struct EncoderTests {
  @Test("every reference text has the token ids of the reference")
  func ids() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let texts = try Reference.texts()
    let expected = try Reference.ids()
    try #require(texts.count == 60 && expected.count == 60)
    for (index, text) in texts.enumerated() {
      #expect(encoder.ids(of: text) == expected[index], "text \(index)")
    }
  }

  @Test(
    "every reference text has the vector of the reference, alone and packed with the others",
    arguments: Engine.all)
  private func vectors(engine: Engine) throws {
    let encoder = try engine.encoder()
    #expect(encoder.precision == engine.precision)
    let texts = try Reference.texts()
    let expected = try Reference.vectors()
    try #require(texts.count == 60 && expected.count == 60)
    let packed = encoder.vectors(of: texts)
    try #require(packed.count == 60)
    for (index, text) in texts.enumerated() where index != Reference.specialText {
      let alone = encoder.vector(of: text)
      try #require(alone.count == Reference.dimension && packed[index].count == alone.count)
      #expect(cosine(alone, expected[index]) >= engine.floor, "text \(index), alone")
      #expect(cosine(packed[index], expected[index]) >= engine.floor, "text \(index), packed")
      if engine.precision != .portable {
        #expect(alone == packed[index], "text \(index): neighbours change no bit")
      }
    }
  }

  @Test("the fastest precision of the processor is the default, and one that it lacks is portable")
  func precision() throws {
    let fastest: Embedding.Encoder.Precision = InstructionSet.best == nil ? .portable : .int16
    #expect(try Embedding.Encoder(folder: Model.folder).precision == fastest)
    let plain = try Embedding.Encoder(
      folder: Model.folder, precision: .int16, instructions: nil)
    #expect(plain.precision == .portable)
  }

  @Test("threads at once get what one gets")
  func threads() async throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let texts = Array(try Reference.texts()[..<24])
    let expected = encoder.vectors(of: texts)
    await withTaskGroup(of: [[Float]].self) { group in
      for _ in 0..<12 { group.addTask { encoder.vectors(of: texts) } }
      for await found in group { #expect(found == expected) }
    }
  }

  @Test("a vector has unit length and is finite")
  func unitLength() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let texts = try Reference.texts()
    for (index, vector) in encoder.vectors(of: texts).enumerated() {
      let square = vector.reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(vector.count == Embedding.Encoder.dimension)
      #expect(abs(square - 1) < 1e-4, "text \(index)")
    }
  }

  @Test("the order of texts is the order of vectors, whatever their lengths")
  func order() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let all = try Reference.texts()
    let texts = Array(all[4..<16])
    let forward = encoder.vectors(of: texts)
    let turned: [String] = texts.reversed()
    let backward: [[Float]] = encoder.vectors(of: turned).reversed()
    try #require(forward.count == texts.count && backward.count == texts.count)
    for index in texts.indices {
      #expect(cosine(forward[index], backward[index]) >= 0.999_99, "text \(index)")
    }
  }

  @Test("no text gives no vector")
  func nothing() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    #expect(encoder.vectors(of: []).isEmpty)
  }

  @Test("a text that writes [SEP] is not the text that ends there")
  func specialTokens() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let ids = encoder.ids(of: "cheap [SEP] fast")
    #expect(ids.first == 101)
    #expect(ids.last == 102)
    let holdsEnd = ids.dropFirst().dropLast().contains(102)
    #expect(!holdsEnd)
    let inner = encoder.ids(of: "[CLS][PAD][MASK][UNK][SEP]").dropFirst().dropLast()
    let special: Set<Int32> = [0, 100, 101, 102, 103]
    #expect(special.isDisjoint(with: inner))
  }

  @Test("near needs are nearer than far ones")
  func meaning() throws {
    let encoder = try Embedding.Encoder(folder: Model.folder)
    let need = encoder.vector(of: "turn speech into text")
    let near = encoder.vector(of: "audio transcription service")
    let far = encoder.vector(of: "currency exchange rates")
    #expect(cosine(need, near) > cosine(need, far) + 0.1)
  }
}

@Suite("a folder without a whole model is refused")
struct ModelFolderTests {
  @Test("a folder without its vocabulary names the file that is missing")
  func missing() {
    #expect(throws: ModelError.missing(file: "vocab.txt")) {
      try Embedding.Encoder(folder: "/nowhere/at/all")
    }
  }
}
