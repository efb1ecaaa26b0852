/// A word of a query.
struct QueryWord {
  enum Mark { case none, phrase, exclusion }

  let text: String
  /// In lower case, without marks around it, with straight apostrophes.
  let folded: String
  /// In UTF-16 units of the query.
  let span: Range<Int>
  let mark: Mark
  /// Whether a comma, a bracket or the end of a sentence stands behind it.
  var endsClause = false
  /// Whether a condition was read out of it.
  var isUsed = false
  /// Whether it is no longer searched.
  var isTaken = false

  /// Whether a grammar may still read it.
  var isOpen: Bool { !isUsed && !isTaken && mark == .none }

  /// Cuts a query at white space, commas and brackets; keeps `gpt-4o` and `json-mode` whole; parts an amount
  /// from its unit (`$0.50/1M`), a comparison from its number (`<300`), and known words from Chinese text.
  static func split(_ query: String) -> [QueryWord] {
    var words: [QueryWord] = []
    var rest = query[...]
    var offset = 0
    func advance(_ part: Substring) {
      offset += part.utf16.count
      rest = rest[part.endIndex...]
    }
    while let first = rest.first {
      if first.isWhitespace || isSeparator(first) {
        if isBreak(first), !words.isEmpty { words[words.count - 1].endsClause = true }
        advance(rest.prefix(1))
      } else if first == "\"", let end = closingQuote(of: rest) {
        let inner = rest[rest.index(after: rest.startIndex)..<end]
        let whole = rest[...end]
        words.append(
          QueryWord(
            text: String(inner), folded: inner.lowercased(),
            span: offset..<offset + whole.utf16.count, mark: .phrase))
        advance(whole)
      } else {
        let part = word(of: rest)
        append(part, offset, to: &words)
        advance(part)
      }
    }
    return words
  }

  /// The words that are still searched, as they stood: what was written together stays together.
  static func text(of words: [QueryWord]) -> String {
    var text = ""
    var end = -1
    for word in words where !word.isTaken {
      let isPiece = word.span.lowerBound == end && word.mark == .none
      if !text.isEmpty, !isPiece { text += " " }
      text += word.text
      end = word.mark == .none ? word.span.upperBound : -1
    }
    return text
  }

  private static let separators = Set<Character>(",;()[]{}!?:、，。；！？：（）「」")

  private static func isSeparator(_ character: Character) -> Bool {
    separators.contains(character)
  }

  private static func isBreak(_ character: Character) -> Bool {
    isSeparator(character) && character != ":" && character != "："
  }

  private static func closingQuote(of rest: Substring) -> Substring.Index? {
    let inner = rest.dropFirst()
    guard let end = inner.firstIndex(of: "\""), end > inner.startIndex else { return nil }
    return end
  }

  /// Up to white space or a separator; a comma inside a number (`1,000`) and a colon inside a word are none.
  private static func word(of rest: Substring) -> Substring {
    var end = rest.startIndex
    var previous: Character = " "
    while end < rest.endIndex {
      let character = rest[end]
      let next = rest.index(after: end)
      if character.isWhitespace { break }
      if isSeparator(character), character != ":" {
        let isInNumber =
          character == "," && isDigit(previous) && next < rest.endIndex && isDigit(rest[next])
        if !isInNumber { break }
      }
      previous = character
      end = next
    }
    return rest[..<end]
  }

  static func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }

  private static func append(_ part: Substring, _ offset: Int, to words: inout [QueryWord]) {
    let isExclusion =
      part.hasPrefix("-") && part.count > 2 && part.dropFirst().first?.isLetter == true
    guard !isExclusion else {
      let text = trimmed(part.dropFirst())
      words.append(
        QueryWord(
          text: String(text), folded: fold(text), span: offset..<offset + part.utf16.count,
          mark: .exclusion))
      return
    }
    let text = trimmed(part)
    var start = offset
    let pieces = WordPieces.cut(text)
    for (number, piece) in pieces.enumerated() {
      let isLast = number == pieces.count - 1
      let end = isLast ? offset + part.utf16.count : start + piece.utf16.count
      words.append(
        QueryWord(text: String(piece), folded: fold(piece), span: start..<end, mark: .none))
      start = end
    }
    if part.endIndex > text.endIndex, part[text.endIndex...].contains(".") {
      words[words.count - 1].endsClause = true
    }
  }

  private static func trimmed(_ part: Substring) -> Substring {
    var text = part
    while let last = text.last, ".:'\"".contains(last), text.count > 1 { text = text.dropLast() }
    return text
  }

  private static func fold(_ text: Substring) -> String {
    let lower = text.lowercased()
    return lower.contains("’") ? lower.replacing("’", with: "'") : lower
  }
}

/// Parts what is written together but read apart.
enum WordPieces {
  private static let marks: Set<Character> = ["$", "€", "£", "¥", "₹", "¢"]
  private static let comparisons: Set<Character> = ["<", ">", "=", "≤", "≥", "~", "≈"]
  /// Units that may hang on a number by a hyphen: `128k-token`.
  private static let hung: Set<String> = ["token", "tokens", "context", "ctx"]

  /// The pieces of a word, in order; together they are the word.
  static func cut(_ word: Substring) -> [Substring] {
    if word.unicodeScalars.contains(where: isHan) { return HanWords.cut(word) }
    guard let first = word.first,
      first.isASCII || marks.contains(first) || comparisons.contains(first)
    else { return [word] }
    let sign = word.prefix { comparisons.contains($0) }
    let amount = word[sign.endIndex...]
    guard !sign.isEmpty || marks.contains(first) || QueryWord.isDigit(first) || first == "."
    else { return [word] }
    guard let start = amount.first,
      marks.contains(start) || QueryWord.isDigit(start) || start == "."
    else { return [word] }
    let pieces = sign.isEmpty ? [] : [sign]
    return pieces + unit(of: amount)
  }

  /// `$0.50/1M` in three, `128k-token` in two.
  private static func unit(of amount: Substring) -> [Substring] {
    if let slash = amount.firstIndex(of: "/"), slash > amount.startIndex {
      let after = amount[amount.index(after: slash)...]
      let hasMark = amount[..<slash].contains { marks.contains($0) }
      if let next = after.first, next.isLetter || hasMark && QueryWord.isDigit(next) {
        return [amount[..<slash], amount[slash..<after.startIndex], after]
      }
    }
    if let hyphen = amount.firstIndex(of: "-"), hyphen > amount.startIndex {
      let after = amount[amount.index(after: hyphen)...]
      let isPrice = after.first.map(marks.contains) ?? false
      if hung.contains(after.lowercased()) || isPrice && !after.contains("-") {
        return [amount[..<hyphen], amount[hyphen..<after.startIndex], after]
      }
    }
    return [amount]
  }

  static func isHan(_ scalar: Unicode.Scalar) -> Bool {
    (0x4E00...0x9FFF).contains(scalar.value) || (0x3400...0x4DBF).contains(scalar.value)
  }
}

/// Finds the words of conditions in Chinese text, which is written without spaces.
enum HanWords {
  private static let numeric: Set<String> = [
    "低于", "少于", "不超过", "不高于", "小于", "至少", "不低于", "以下", "以内", "以上", "每百万", "每千", "每", "分钟",
    "小时", "次", "月", "输入", "输出", "美元", "欧元", "人民币", "万", "百万", "上下文", "毫秒", "秒", "个", "张", "图片",
    "调用",
  ]
  private static let known: Set<String> = numeric.union(Lexicon.shipped.hanPhrases)
  private static let longest = known.map(\.count).max() ?? 1

  /// The pieces of a word: known words, runs of other scripts, and what is between. A text without a condition's
  /// word stays whole.
  static func cut(_ word: Substring) -> [Substring] {
    var pieces: [Substring] = []
    var start = word.startIndex
    var at = word.startIndex
    func close() { if start < at { pieces.append(word[start..<at]) } }
    var wasHan: Bool?
    while at < word.endIndex {
      if let end = knownEnd(in: word, from: at) {
        close()
        pieces.append(word[at..<end])
        at = end
        start = end
        wasHan = nil
        continue
      }
      let isHan = word[at].unicodeScalars.contains(where: WordPieces.isHan)
      if let was = wasHan, was != isHan {
        close()
        start = at
      }
      wasHan = isHan
      at = word.index(after: at)
    }
    close()
    return pieces.isEmpty ? [word] : pieces
  }

  private static func knownEnd(in word: Substring, from at: Substring.Index) -> Substring.Index? {
    guard word[at].unicodeScalars.contains(where: WordPieces.isHan) else { return nil }
    let ahead = word[at...].prefix(longest)
    for count in stride(from: ahead.count, to: 0, by: -1) {
      let part = ahead.prefix(count)
      if known.contains(String(part)) { return part.endIndex }
    }
    return nil
  }
}
