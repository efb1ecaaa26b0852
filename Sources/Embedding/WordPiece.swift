internal import Foundation

/// The uncased WordPiece tokenizer of BERT: clean, split CJK and punctuation, strip accents, lower-case,
/// then the longest pieces of the vocabulary (Devlin et al., 2019; Wu et al., 2016).
///
/// Special tokens in a text are plain text: a listing must not be able to write `[SEP]`.
public struct WordPiece: Sendable {
  /// Tokens of one text with `[CLS]` and `[SEP]`, at most; the rest of the text is not read.
  public static let tokenCountMax = 256
  private static let wordLengthMax = 100

  private let ids: [String: Int32]
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
    self.ids = ids
    self.unknown = unknown
    self.start = start
    self.end = end
  }

  /// The token ids of a text, `[CLS]` first, `[SEP]` last, at most `tokenCountMax`.
  public func ids(of text: String) -> [Int32] {
    var output = [start]
    // Nothing beyond this many scalars can reach the limit of tokens, but a hostile text could cost time.
    let scalars = text.unicodeScalars.prefix(16_384)
    for word in WordPiece.words(scalars) {
      append(word, to: &output)
      if output.count >= WordPiece.tokenCountMax - 1 { break }
    }
    return Array(output.prefix(WordPiece.tokenCountMax - 1)) + [end]
  }

  private func append(_ word: [Unicode.Scalar], to output: inout [Int32]) {
    guard word.count <= WordPiece.wordLengthMax else {
      output.append(unknown)
      return
    }
    var pieces: [Int32] = []
    var from = 0
    while from < word.count {
      var to = word.count
      var found: Int32?
      while to > from, found == nil {
        var piece = from > 0 ? "##" : ""
        piece.unicodeScalars.append(contentsOf: word[from..<to])
        // Equal strings of Swift compare by canonical equivalence; after NFD that is identity.
        found = ids[piece]
        if found == nil { to -= 1 }
      }
      guard let found else {
        output.append(unknown)
        return
      }
      pieces.append(found)
      from = to
    }
    output.append(contentsOf: pieces)
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
