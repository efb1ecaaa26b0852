/// A vocabulary of our own, small, with what makes a reader slow: every letter stands alone, so that
/// a long word is tried in all its parts.
enum Vocabulary {
  static let text = words.joined(separator: "\n")
  static let count = Int32(words.count)
  static let start: Int32 = 1
  static let end: Int32 = 2

  private static let words: [String] = {
    let letters = (UInt32(0x61)...0x7A).map(letter) + (UInt32(0x30)...0x39).map(letter)
    let greek = (UInt32(0x3B1)...0x3C9).map(letter)
    let cyrillic = (UInt32(0x430)...0x44F).map(letter)
    let han = ["三", "免", "费", "日", "本", "語"]
    let marks = "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~".map(String.init)
    let pieces = letters + greek + cyrillic
    let whole = ["weather", "speech", "text", "model", "the", "and", "api"]
    let ends = ["##ing", "##er", "##ed", "##s", "##ation"]
    return ["[UNK]", "[CLS]", "[SEP]"] + pieces + pieces.map { "##" + $0 } + han + marks + whole
      + ends
  }()

  private static func letter(_ code: UInt32) -> String {
    Unicode.Scalar(code).map { String(Character($0)) } ?? ""
  }
}
