import Foundation
import Primitives

/// The reference of Fixtures/Golden/embedding: texts, their token ids, their vectors.
enum Reference {
  static let dimension = 384
  /// The text that writes special tokens: its ids are written by hand, its vector is not compared.
  static let specialText = 59

  /// The package's folder, found from this file.
  static var root: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path
  }

  static func texts() throws -> [String] {
    try lines("texts.jsonl").map { $0.string ?? "" }
  }

  static func ids() throws -> [[Int32]] {
    try lines("ids.jsonl").map { line in
      (line.array ?? []).map { Int32(truncatingIfNeeded: $0.int ?? -1) }
    }
  }

  /// The vectors, 384 floats each.
  static func vectors() throws -> [[Float]] {
    let bytes = try file("vectors.f32")
    let floats = stride(from: 0, to: bytes.count - 3, by: 4).map { at -> Float in
      var bits: UInt32 = 0
      for place in (0..<4).reversed() { bits = bits << 8 | UInt32(bytes[at + place]) }
      return Float(bitPattern: bits)
    }
    return stride(from: 0, to: floats.count, by: dimension).map {
      Array(floats[$0..<min($0 + dimension, floats.count)])
    }
  }

  private static func lines(_ name: String) throws -> [JSON] {
    try file(name).split(separator: UInt8(ascii: "\n")).map { try JSON.parse(Array($0)) }
  }

  private static func file(_ name: String) throws -> [UInt8] {
    let path = root + "/Fixtures/Golden/embedding/" + name
    return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
  }
}

/// The embedding model, which `make model` fetches: it may be absent.
enum Model {
  static var folder: String {
    let home = ProcessInfo.processInfo.environment["WAYPOST_HOME"] ?? Reference.root + "/.waypost"
    return home + "/model"
  }

  static var isPresent: Bool {
    ["model.safetensors", "vocab.txt"].allSatisfy {
      FileManager.default.fileExists(atPath: folder + "/" + $0)
    }
  }
}

/// The cosine of the angle between two vectors of one length.
func cosine(_ left: [Float], _ right: [Float]) -> Double {
  var product = 0.0
  var leftSquare = 0.0
  var rightSquare = 0.0
  for (a, b) in zip(left, right) {
    product += Double(a) * Double(b)
    leftSquare += Double(a) * Double(a)
    rightSquare += Double(b) * Double(b)
  }
  return product / (leftSquare * rightSquare).squareRoot()
}
