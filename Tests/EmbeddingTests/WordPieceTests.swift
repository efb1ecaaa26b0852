import Embedding
import Primitives
import Testing

/// A vocabulary small enough to see through; ids are the places of its words.
private let words: [String] = [
  "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[", "]", "sep", "un", "##aff", "##able", "aff", "able",
  "run", "##ning", "cafe", "\u{5929}", "\u{6C14}", "a", "##a", "!", ",", ".", "-", "naive",
  "\u{DF}",
]

private let pieces: [(String, [String])] = [
  ("", []),
  (" \t\r\n ", []),
  ("run", ["run"]),
  ("RUN Run", ["run", "run"]),
  ("running", ["run", "##ning"]),
  ("unaffable", ["un", "##aff", "##able"]),
  ("affable", ["aff", "##able"]),
  ("unknown", ["[UNK]"]),
  ("runs run", ["[UNK]", "run"]),
  ("Caf\u{E9} cafe\u{301} CAF\u{C9}", ["cafe", "cafe", "cafe"]),
  ("na\u{EF}ve", ["naive"]),
  ("\u{1E9E}", ["\u{DF}"]),
  ("run!run,run.", ["run", "!", "run", ",", "run", "."]),
  ("run-run", ["run", "-", "run"]),
  ("\u{5929}\u{6C14}run\u{5929}", ["\u{5929}", "\u{6C14}", "run", "\u{5929}"]),
  ("[SEP]", ["[", "sep", "]"]),
  ("run[SEP]run", ["run", "[", "sep", "]", "run"]),
  ("r\u{0}u\u{200B}n\u{FEFF} ru\u{AD}n \u{FFFD}run", ["run", "run", "run"]),
  ("run\u{A0}run\u{3000}run\u{2028}run", ["run", "run", "run", "run"]),
  ("\u{1F680} run", ["[UNK]", "run"]),
  ("aaa", ["a", "##a", "##a"]),
]

@Suite("text is cut into the longest pieces of the vocabulary")
struct WordPieceTests {
  private func makeTokenizer() throws -> WordPiece {
    try #require(WordPiece(vocabulary: words.joined(separator: "\n") + "\n"))
  }

  @Test("a text is cut into its pieces", arguments: pieces)
  func cuts(text: String, expected: [String]) throws {
    let ids = try makeTokenizer().ids(of: text)
    let found = ids.map { words[Int($0)] }
    let whole: [String] = ["[CLS]"] + expected + ["[SEP]"]
    #expect(found == whole)
  }

  @Test(
    "a text has 256 tokens at most, the first and the last of them special",
    arguments: [253, 254, 255, 256, 1_000, 20_000])
  func limit(count: Int) throws {
    let ids = try makeTokenizer().ids(of: String(repeating: "run ", count: count))
    #expect(ids.count == min(count + 2, WordPiece.tokenCountMax))
    #expect(ids.first == 2)
    #expect(ids.last == 3)
    let areWords = ids.dropFirst().dropLast().allSatisfy { $0 == 12 }
    #expect(areWords)
  }

  @Test("a word of more than a hundred letters is one unknown word")
  func longWords() throws {
    let tokenizer = try makeTokenizer()
    #expect(tokenizer.ids(of: String(repeating: "a", count: 100)).count == 102)
    #expect(tokenizer.ids(of: String(repeating: "a", count: 101)) == [2, 1, 3])
    #expect(tokenizer.ids(of: String(repeating: "a", count: 100_000)) == [2, 1, 3])
  }

  @Test("a vocabulary without a special token is none", arguments: ["[UNK]", "[CLS]", "[SEP]"])
  func specials(name: String) {
    let rest = words.filter { $0 != name }
    let isRefused = WordPiece(vocabulary: rest.joined(separator: "\n")) == nil
    #expect(isRefused)
  }

  @Test("the short way for ASCII gives what the long way gives", arguments: 0..<40 as Range<UInt64>)
  func ways(seed: UInt64) throws {
    let tokenizer = try makeTokenizer()
    var random = SplitMix64(seed: seed)
    var text = ""
    for _ in 0..<Int.random(in: 0...400, using: &random) {
      let isWord = Int.random(in: 0...2, using: &random) > 0
      text +=
        isWord
        ? words[Int.random(in: 6...16, using: &random)].replacing("#", with: "")
        : String(Unicode.Scalar(UInt8.random(in: 0...127, using: &random)))
    }
    // A mark that is dropped makes the text one that is not of ASCII alone.
    #expect(tokenizer.ids(of: text) == tokenizer.ids(of: "\u{FEFF}" + text))
  }
}
