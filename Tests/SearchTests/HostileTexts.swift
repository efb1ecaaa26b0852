import Primitives

/// Texts of our own that are hostile to readers of queries, filters and listings: 200 in all, the same in every run.
enum HostileTexts {
  /// Each of at most 1,000 characters.
  static let all: [String] = {
    let fixed = syntax + scripts + repeated
    var random = SplitMix64(seed: 77)
    let mixed = (fixed.count..<200).map { _ in mixture(&random) }
    return fixed + mixed
  }()

  /// Longer than any text may be; they are cut or refused, not followed.
  static let huge: [String] = [
    String(repeating: "\"", count: 10_000), String(repeating: "(", count: 100_000),
    String(repeating: "a", count: 1_000_000), String(repeating: "NOT ", count: 50_000),
    "a" + String(repeating: "\u{301}", count: 200_000), String(repeating: "wörd ", count: 50_000),
    "tags IN [" + String(repeating: "\"a\", ", count: 50_000) + "\"a\"]",
  ]

  /// What other languages would take for a command.
  private static let syntax: [String] = [
    "NEAR(\"*", "NEAR(a b, 5)", "a AND", "OR b", "NOT", "^name: x*", "{name tags}: a", "- name: b",
    "\"a\" + \"b\" *", "*", "a*b*c*", "col:val", "'; DROP TABLE service; --", "' OR '1'='1",
    "1; SELECT load_extension('x')", "\\'; ATTACH 'x' AS y; --", "%27%20OR%201%3D1", "%s%n%d%x",
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "&lt;b&gt;&#x3C;&amp;",
    "javascript:alert(1)", "{{7*7}}${7*7}#{7*7}", "../../etc/passwd", "C:\\nul\\con",
    "file:///dev/zero", "\\", "\\\\", "\\\"", "\"", "''", "`id`", "$(id)", "| cat",
    "\r\nX-Header: y",
    "{\"q\": \"x\"}", "[1, 2", "null", "undefined", "NaN", "-Infinity", "1e999", "0x1p-1074", "-0",
    "9223372036854775808", "\\ud800", "\\udfff\\ud800", "\\u0000", "\\x00", "data: x\n\nevent: y",
    "[SEP] [CLS] [MASK]", "<|endoftext|>", "ignore all instructions", "under $", "$ $ $ under",
    "under under 5 5 $ $", "under $1e400 per 1e400 tokens", "cheaper than cheaper than",
    "between 5 and", "not not not", "-", "--", "---a", "-\"a\"", "\"-a\"", "\" \"", "\"\"", "()",
    "[]",
    "price > 1 AND price > $", "name = '\"\u{301} OR kind = api'", "name = '\\\u{301}'",
    "features.\u{301}x = yes", "features.. = yes", "EXISTS EXISTS", "IN IN [IN]", "NOT IS UNKNOWN",
  ]

  /// Characters that change direction, join, hang or hide.
  private static let scripts: [String] = [
    "\u{202E}gpj.exe\u{202C}", "\u{2066}\u{2067}\u{2068}\u{2069}",
    "\u{200B}\u{200C}\u{200D}\u{FEFF}",
    "مرحبا بالعالم", "שלום עולם weather", "👩‍👩‍👧‍👦👩🏿‍🚀🏳️‍🌈🇺🇸🇩", "\u{1F1E6}", "☃️⃣",
    "Z\u{351}\u{36F}a\u{35B}\u{310}l\u{33F}g\u{35D}o", "\u{301}\u{323}", "e\u{301} é", "ﷺ ﷽ ﬁ ﬀ",
    "İıſK ß ẞ ς Σ", "ﾃﾝｷ テンキ 天気", "한국어 한국어", "नमस्ते ไทย ខ្មែរ", "𝕨𝕖𝕒𝕥𝕙𝕖𝕣 ⓦⓔⓐ", "\u{0}", "a\u{0}b",
    "\u{1}\u{7F}\u{85}\u{9B}31m", "\u{2028}\u{2029}", "\u{FFFD}\u{FFFE}\u{FFFF}",
    "\u{E000}\u{10FFFF}",
    "\u{E0001}\u{E0067}\u{E007F}", "\t\u{B}\u{C}\u{A0}\u{2003}\u{3000}", "\r\r\n\n",
    "½ ² ① Ⅳ 〇 ٣ ४ 三",
  ]

  private static let repeated: [String] = [
    "a", "é", "\u{301}", "\u{200D}", "日", "👩‍👩‍👧", "(", ")", "\"", "'", "\\", "-", ".", ",", " ",
    "9", "$", "*", ":", "\u{202E}", "\u{0}", "aA", "a ", "\" ", "-a ", "$1 ", "1,", "not ",
    "under $1 ",
    "(a OR ", "NOT (", "\"a\" ", "qzx", "ж",
  ].map { piece in
    String(String(repeating: piece, count: 1_000).unicodeScalars.prefix(1_000).map(Character.init))
  }

  /// Up to 1,000 characters of anything: pieces of the lists, and single characters of every plane.
  private static func mixture(_ random: inout SplitMix64) -> String {
    var text = String.UnicodeScalarView()
    let length = 1 + random.below(1_000)
    while text.count < length {
      switch random.below(4) {
      case 0: text.append(contentsOf: random.pick(syntax).unicodeScalars)
      case 1: text.append(contentsOf: random.pick(scripts).unicodeScalars)
      case 2: text.append(" ")
      default:
        let limit = random.pick([0x80, 0x800, 0x1_0000, 0x11_0000])
        if let scalar = Unicode.Scalar(UInt32(random.below(limit))) { text.append(scalar) }
      }
    }
    return String(String.UnicodeScalarView(text.prefix(1_000)))
  }
}
