internal import Embedding
internal import FuzzSupport
internal import SQLite

// libFuzzer calls a target on one thread only, so that these are never shared.
private nonisolated(unsafe) let stemmed = try? Tokenizer()
private nonisolated(unsafe) let plain = try? Tokenizer(stemmed: false)
private let wordPiece = WordPiece(vocabulary: Vocabulary.text)

/// The tokenizers of both legs: ranges lie in the text, ids in the vocabulary, at most 256 of them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTokenizer(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = Fuzz.text(data, count)
  guard let stemmed, let plain, let wordPiece else { Fuzz.fail("every tokenizer can be made") }
  let length = text.unicodeScalars.count
  let bytes = Array(text.utf8)
  for tokenizer in [stemmed, plain] {
    let found = Fuzz.timed(length) { TokenizerReading(tokenizer, text) }
    check(found.tokens, of: bytes)
  }
  let ids = Fuzz.timed(length) { wordPiece.ids(of: text) }
  let specials = [Vocabulary.start, Vocabulary.end]
  Fuzz.check((2...WordPiece.tokenCountMax).contains(ids.count), "2 to 256 ids, got \(ids.count)")
  Fuzz.check(ids.first == Vocabulary.start && ids.last == Vocabulary.end, "[CLS] ... [SEP]")
  let isInside = ids.allSatisfy { (0..<Vocabulary.count).contains($0) }
  Fuzz.check(isInside, "ids lie in the vocabulary")
  let isPlain = ids.dropFirst().dropLast().allSatisfy { !specials.contains($0) }
  Fuzz.check(isPlain, "a text cannot write [CLS] or [SEP]")
  return 0
}

/// The same, where the package's build renames `main`.
@_cdecl("waypost_fuzz_tokenizer_main")
public func fuzzTokenizerMain(
  _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  Fuzz.drive(count, arguments, fuzzTokenizer)
}

private struct TokenizerReading {
  var tokens: [(token: String, range: Range<Int>)] = []

  init(_ tokenizer: Tokenizer, _ text: String) {
    tokenizer.tokenize(text) { tokens.append(($0, $1)) }
  }
}

private func check(_ tokens: [(token: String, range: Range<Int>)], of bytes: [UInt8]) {
  var end = 0
  for (token, range) in tokens {
    Fuzz.check(!token.isEmpty && !range.isEmpty, "no token is empty at \(range)")
    Fuzz.check(range.lowerBound >= end, "tokens are in order: \(range) after \(end)")
    Fuzz.check(range.upperBound <= bytes.count, "\(range) lies in \(bytes.count) bytes")
    end = range.upperBound
    let isWhole =
      bytes[range.lowerBound] & 0xC0 != 0x80 && (end == bytes.count || bytes[end] & 0xC0 != 0x80)
    Fuzz.check(isWhole, "\(range) cuts no character")
  }
}
