import SQLite
import Testing

private let stemmed: [(String, [String])] = [
  ("", []),
  (" \n\t ", []),
  ("running runs runner", ["run", "run", "runner"]),
  ("translation translate translating", ["translat", "translat", "translat"]),
  ("databases", ["databas"]),
  ("ponies skies", ["poni", "ski"]),
  ("hopping happy", ["hop", "happi"]),
  ("relational generously", ["relat", "gener"]),
  ("Cr\u{E8}me Br\u{FB}l\u{E9}e", ["creme", "brule"]),
  ("cafe\u{301} CAF\u{C9}", ["cafe", "cafe"]),
  ("e\u{301}\u{302}x", ["ex"]),
  ("Vi\u{1EC7}t \u{C5}NGSTR\u{D6}M", ["viet", "angstrom"]),
  ("Stra\u{DF}e", ["stra\u{DF}"]),
  ("\u{43F}\u{440}\u{438}\u{432}\u{435}\u{442}", ["\u{43F}\u{440}\u{438}\u{432}\u{435}\u{442}"]),
  ("speech-to-text", ["speech", "to", "text"]),
  ("GPT-4o 3.5", ["gpt", "4o", "3", "5"]),
  ("I'm don't", ["i", "m", "don", "t"]),
  ("a_b c++ 100%", ["a", "b", "c", "100"]),
  ("x\u{A0}y foo\u{200B}bar", ["x", "y", "foo", "bar"]),
  ("\u{1F680} launch \u{1F680}\u{1F389}", ["launch"]),
  ("\u{6570}\u{636E}\u{5E93} \u{67E5}\u{8BE2}", ["\u{6570}\u{636E}\u{5E93}", "\u{67E5}\u{8BE2}"]),
  ("\u{5929}\u{6C14}\u{3002}\u{9884}\u{62A5}", ["\u{5929}\u{6C14}", "\u{9884}\u{62A5}"]),
]

private let unstemmed: [(String, [String])] = [
  ("running runs runner", ["running", "runs", "runner"]),
  ("Cr\u{E8}me Br\u{FB}l\u{E9}e", ["creme", "brulee"]),
  ("databases Stra\u{DF}e", ["databases", "stra\u{DF}e"]),
  ("", []),
]

private let ranges: [(String, [String])] = [
  ("Caf\u{E9} na\u{EF}ve done", ["Caf\u{E9}", "na\u{EF}ve", "done"]),
  ("  two  words  ", ["two", "words"]),
  ("\u{1F680} launch\u{1F680}now", ["launch", "now"]),
  ("\u{6570}\u{636E}, running!", ["\u{6570}\u{636E}", "running"]),
  ("speech-to-text", ["speech", "to", "text"]),
]

@Suite("text is cut as FTS5 cuts it")
struct TokenizerTests {
  @Test("words are folded, freed of accents and stemmed", arguments: stemmed)
  func stems(text: String, tokens: [String]) throws {
    let tokenizer = try Tokenizer()
    #expect(tokenizer.tokens(text) == tokens)
  }

  @Test("without stems words are only folded and freed of accents", arguments: unstemmed)
  func folds(text: String, tokens: [String]) throws {
    let tokenizer = try Tokenizer(stemmed: false)
    #expect(tokenizer.tokens(text) == tokens)
  }

  @Test("a token's bytes are those of its word in the text", arguments: ranges)
  func byteRanges(text: String, words: [String]) throws {
    let tokenizer = try Tokenizer()
    let bytes = Array(text.utf8)
    var found: [String] = []
    tokenizer.tokenize(text) { _, range in
      found.append(String(decoding: bytes[range], as: UTF8.self))
    }
    #expect(found == words)
  }

  @Test("the ranges of a long text follow each other and stay inside")
  func rangesAscend() throws {
    let tokenizer = try Tokenizer()
    let words = "na\u{EF}ve caf\u{E9}s \u{1F680} \u{6570}\u{636E} running "
    let text = String(repeating: words, count: 500)
    var end = 0
    var count = 0
    var isAscending = true
    tokenizer.tokenize(text) { _, range in
      isAscending = isAscending && range.lowerBound >= end && range.upperBound > range.lowerBound
      end = range.upperBound
      count += 1
    }
    #expect(isAscending)
    #expect(end <= text.utf8.count)
    #expect(count == 2_000)
  }

  @Test("one tokenizer serves many texts")
  func isReusable() throws {
    let tokenizer = try Tokenizer()
    for round in 0..<100 {
      #expect(tokenizer.tokens("services number \(round)") == ["servic", "number", "\(round)"])
    }
  }
}
