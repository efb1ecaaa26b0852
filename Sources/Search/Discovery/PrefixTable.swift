/// Texts that are found by the start of any of their words: a sorted list of word starts over the folded texts.
///
/// A look-up is two binary searches; a prefix may span words ("speech to te"). About 5 bytes a letter.
struct PrefixTable: Sendable {
  /// Where a prefix was found.
  struct Match {
    /// The text's number, as it was given.
    let text: Int
    /// Whether the text itself starts with the prefix, and not only one of its words.
    let isStart: Bool
    /// Whether the prefix is the whole text.
    let isWhole: Bool
  }

  /// The folded texts one after another.
  private let bytes: [UInt8]
  /// Where each form starts, and one past the last; a text has one form, or two where spaces can be left out.
  private let formStarts: [Int32]
  /// The text of each form.
  private let formTexts: [Int32]
  /// Starts of words in `bytes`, sorted by what follows up to the form's end.
  private let words: [Int32]
  /// The form of each entry of `words`.
  private let wordForms: [Int32]

  /// - Complexity: n log n comparisons for n words.
  init(_ texts: some Sequence<String>) {
    var bytes: [UInt8] = []
    var formStarts: [Int32] = [0]
    var formTexts: [Int32] = []
    var entries: [(start: Int32, form: Int32)] = []
    func append(_ form: [UInt8], of text: Int) {
      let number = Int32(formTexts.count)
      let start = bytes.count
      for (index, byte) in form.enumerated()
      where byte != 0x20 && (index == 0 || form[index - 1] == 0x20) {
        entries.append((Int32(start + index), number))
      }
      bytes += form
      formStarts.append(Int32(bytes.count))
      formTexts.append(Int32(text))
    }
    for (number, text) in texts.enumerated() {
      let form = PrefixTable.fold(text)
      // 2 GB of names would not fit; what no longer fits is not suggested.
      guard !form.isEmpty, bytes.count + 2 * form.count < Int(Int32.max) else { continue }
      append(form, of: number)
      let squeezed = form.filter { $0 != 0x20 }
      if squeezed.count != form.count { append(squeezed, of: number) }
    }
    bytes.withUnsafeBufferPointer { all in
      entries.sort { left, right in
        let a = all[Int(left.start)..<Int(formStarts[Int(left.form) + 1])]
        let b = all[Int(right.start)..<Int(formStarts[Int(right.form) + 1])]
        let order = PrefixTable.order(a, b)
        return order == 0 ? left < right : order < 0
      }
    }
    self.bytes = bytes
    self.formStarts = formStarts
    self.formTexts = formTexts
    words = entries.map(\.start)
    wordForms = entries.map(\.form)
  }

  /// Letters and digits in lower case, everything else one space, none at the ends.
  static func fold(_ text: String) -> [UInt8] {
    var output: [UInt8] = []
    var isGap = false
    for scalar in text.lowercased().unicodeScalars {
      let isKept =
        scalar.isASCII
        ? (0x30...0x39).contains(scalar.value) || (0x61...0x7A).contains(scalar.value)
        : scalar.properties.isAlphabetic || scalar.properties.numericType != nil
          || scalar.properties.generalCategory == .nonspacingMark
      guard isKept else {
        isGap = !output.isEmpty
        continue
      }
      if isGap { output.append(0x20) }
      isGap = false
      output += UTF8.encode(scalar).map { Array($0) } ?? []
    }
    return output
  }

  /// Calls the body with each place where a word starts with the prefix, in order of what follows it, until
  /// it returns false. A text with two such words comes twice.
  func forEachMatch(_ prefix: [UInt8], _ body: (Match) -> Bool) {
    guard !prefix.isEmpty else { return }
    for place in range(prefix) {
      let form = Int(wordForms[place])
      let start = words[place]
      let match = Match(
        text: Int(formTexts[form]), isStart: start == formStarts[form],
        isWhole: start == formStarts[form]
          && Int(formStarts[form + 1] - start) == prefix.count)
      guard body(match) else { return }
    }
  }

  /// The entries that start with a prefix.
  private func range(_ prefix: [UInt8]) -> Range<Int> {
    func first(_ isPast: (ArraySlice<UInt8>) -> Bool) -> Int {
      var low = 0
      var high = words.count
      while low < high {
        let middle = (low + high) / 2
        let end = Int(formStarts[Int(wordForms[middle]) + 1])
        let start = Int(words[middle])
        let head = bytes[start..<min(end, start + prefix.count)]
        if isPast(head) { high = middle } else { low = middle + 1 }
      }
      return low
    }
    let lower = first { PrefixTable.order($0[...], prefix[...]) >= 0 }
    let upper = first { PrefixTable.order($0[...], prefix[...]) > 0 }
    return lower..<max(lower, upper)
  }

  /// -1, 0 or 1 by bytes, the shorter first.
  private static func order(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Int
  {
    for (a, b) in zip(left, right) where a != b { return a < b ? -1 : 1 }
    return left.count < right.count ? -1 : left.count > right.count ? 1 : 0
  }
}
