internal import Foundation

/// The uncased WordPiece tokenizer of BERT: clean, split CJK and punctuation, strip accents, lower-case,
/// then the longest pieces of the vocabulary (Devlin et al., 2019; Wu et al., 2016).
///
/// Special tokens in a text are plain text: a listing must not be able to write `[SEP]`.
public struct WordPiece: Sendable {
  /// Tokens of one text with `[CLS]` and `[SEP]`, at most; the rest of the text is not read.
  public static let tokenCountMax = 256
  private static let wordLengthMax = 100

  /// Pieces that may start a word, and those that may go on with one, without their "##".
  private let first, next: [String: Int32]
  /// Scalars of the longest piece.
  private let pieceLengthMax: Int
  private let unknown: Int32
  private let start: Int32
  private let end: Int32

  /// A tokenizer of a vocabulary, one token a line; nil where a special token is missing.
  public init?(vocabulary: String) {
    var ids: [String: Int32] = [:]
    for (index, line) in vocabulary.split(separator: "\n", omittingEmptySubsequences: false)
      .enumerated()
    where !line.isEmpty { ids[String(line)] = Int32(index) }
    guard let unknown = ids["[UNK]"], let start = ids["[CLS]"], let end = ids["[SEP]"] else {
      return nil
    }
    var first: [String: Int32] = [:]
    var next: [String: Int32] = [:]
    for (piece, id) in ids {
      // Scalar by scalar: a mark after "##" makes one character with it.
      if piece.unicodeScalars.starts(with: "##".unicodeScalars) {
        next[String(String.UnicodeScalarView(piece.unicodeScalars.dropFirst(2)))] = id
      } else {
        first[piece] = id
      }
    }
    self.first = first
    self.next = next
    pieceLengthMax = ids.keys.reduce(1) { max($0, $1.unicodeScalars.count) }
    self.unknown = unknown
    self.start = start
    self.end = end
  }

  /// The token ids of a text, `[CLS]` first, `[SEP]` last, at most `tokenCountMax`.
  public func ids(of text: String) -> [Int32] {
    var output = [start]
    output.reserveCapacity(WordPiece.tokenCountMax)
    // Nothing beyond this many scalars can reach the limit of tokens, but a hostile text could cost time.
    let scalarCountMax = 16_384
    let isDone =
      text.utf8.withContiguousStorageIfAvailable {
        appendASCII($0.prefix(scalarCountMax), to: &output)
      } ?? false
    if !isDone {
      for word in WordPiece.words(text.unicodeScalars.prefix(scalarCountMax)) {
        append(scalarCount: word.count, to: &output) { range in
          var piece = String.UnicodeScalarView()
          piece.append(contentsOf: word[range])
          return String(piece)
        }
        if output.count >= WordPiece.tokenCountMax - 1 { break }
      }
    }
    return Array(output.prefix(WordPiece.tokenCountMax - 1)) + [end]
  }

  /// The same for a text of ASCII alone, ten times as fast; false, and nothing done, for any other.
  private func appendASCII(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, to output: inout [Int32])
    -> Bool
  {
    guard bytes.allSatisfy({ $0 < 0x80 }) else { return false }
    var word: [UInt8] = []
    func close() {
      guard !word.isEmpty else { return }
      append(scalarCount: word.count, to: &output) { String(decoding: word[$0], as: UTF8.self) }
      word.removeAll(keepingCapacity: true)
    }
    for byte in bytes {
      let scalar = Unicode.Scalar(byte)
      switch byte {
      case 0x61...0x7A, 0x30...0x39: word.append(byte)
      case 0x41...0x5A: word.append(byte | 0x20)
      case 0x20, 0x09, 0x0A, 0x0D: close()
      default:
        guard WordPiece.isPunctuation(scalar) else { continue }  // A control character is dropped.
        close()
        word.append(byte)
        close()
      }
      if output.count >= WordPiece.tokenCountMax - 1 { return true }
    }
    close()
    return true
  }

  /// Appends the pieces of one word; `spelling` gives the text of a part of it.
  private func append(
    scalarCount: Int, to output: inout [Int32], spelling: (Range<Int>) -> String
  ) {
    guard scalarCount <= WordPiece.wordLengthMax else {
      output.append(unknown)
      return
    }
    let before = output.count
    var from = 0
    while from < scalarCount {
      var to = min(scalarCount, from + pieceLengthMax)
      var found: Int32?
      while to > from, found == nil {
        // Equal strings of Swift compare by canonical equivalence; after NFD that is identity.
        found = (from == 0 ? first : next)[spelling(from..<to)]
        if found == nil { to -= 1 }
      }
      guard let found else {
        output.replaceSubrange(before..., with: CollectionOfOne(unknown))
        return
      }
      output.append(found)
      from = to
    }
  }

  /// Normalised words and single punctuation marks, in order.
  static func words(_ scalars: some Sequence<Unicode.Scalar>) -> [[Unicode.Scalar]] {
    var spaced = String.UnicodeScalarView()
    for scalar in scalars where !isDropped(scalar) {
      if scalar.properties.isWhitespace {
        spaced.append(" ")
      } else if isChinese(scalar) {
        spaced.append(" ")
        spaced.append(scalar)
        spaced.append(" ")
      } else {
        spaced.append(scalar)
      }
    }
    var words: [[Unicode.Scalar]] = []
    var word: [Unicode.Scalar] = []
    func close() {
      if !word.isEmpty { words.append(word) }
      word = []
    }
    for scalar in String(spaced).decomposedStringWithCanonicalMapping.unicodeScalars
    where scalar.properties.generalCategory != .nonspacingMark {
      for lower in scalar.properties.lowercaseMapping.unicodeScalars {
        if lower == " " {
          close()
        } else if isPunctuation(lower) {
          close()
          words.append([lower])
        } else {
          word.append(lower)
        }
      }
    }
    close()
    return words
  }

  private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == "\t" || scalar == "\n" || scalar == "\r" { return false }
    if scalar.value == 0 || scalar.value == 0xFFFD { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .privateUse, .surrogate: return true
    default: return false
    }
  }

  private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 33...47, 58...64, 91...96, 123...126: return true
    default: break
    }
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      return true
    default: return false
    }
  }

  // The ranges of CJK ideographs that the original tokenizer splits.
  private static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
      0x2B740...0x2B81F, 0x2B820...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }
}
