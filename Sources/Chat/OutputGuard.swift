internal import Primitives

/// Lets a model's words through sentence by sentence; what could lead astray is dropped (chat.md S5).
///
/// Dropped: links, markup, images, numbers that no retrieved record has, names of tools and system text.
struct OutputGuard {
  /// Numbers that stand in the records of this turn, as digits.
  private let numbers: Set<String>
  private var pending = ""
  private(set) var droppedCount = 0

  init(candidates: [Candidate]) {
    var numbers: Set<String> = []
    for candidate in candidates {
      OutputGuard.collect(candidate.service.text, into: &numbers)
      OutputGuard.collect(candidate.offer?.text ?? "", into: &numbers)
    }
    self.numbers = numbers
  }

  /// Takes a piece of text and gives the sentences that it completes and that may be shown.
  mutating func take(_ piece: String) -> [String] {
    pending += piece
    // A model that never ends a sentence must not fill the memory.
    if pending.count > 4_000 { pending += "." }
    var output: [String] = []
    while let end = sentenceEnd() {
      let sentence = String(pending[..<end])
      pending = String(pending[end...])
      if let allowed = allow(sentence) { output.append(allowed) }
    }
    return output
  }

  /// What is left at the end.
  mutating func finish() -> [String] {
    defer { pending = "" }
    return allow(pending).map { [$0] } ?? []
  }

  private func sentenceEnd() -> String.Index? {
    var index = pending.startIndex
    while index < pending.endIndex {
      let next = pending.index(after: index)
      if pending[index] == "\n" { return next }
      if ".!?".contains(pending[index]), next < pending.endIndex, pending[next].isWhitespace {
        return next
      }
      index = next
    }
    return nil
  }

  private mutating func allow(_ sentence: String) -> String? {
    let clean = PlainText.clean(sentence)
    guard !clean.allSatisfy(\.isWhitespace) else { return nil }
    let lower = clean.lowercased()
    let marks = [
      "http:", "https:", "www.", "](", "<", ">", "![", "```", "{\"", "system prompt", "javascript:",
      "data:",
    ]
    let tools = [
      "search_services", "get_service", "compare_services", "list_filters", "propose_trial",
    ]
    let isGrounded = OutputGuard.digits(of: clean).allSatisfy {
      numbers.contains($0) || $0.count == 1
    }
    guard isGrounded, !(marks + tools).contains(where: { lower.contains($0) }) else {
      droppedCount += 1
      return nil
    }
    return clean
  }

  private static func collect(_ text: String, into numbers: inout Set<String>) {
    numbers.formUnion(digits(of: text))
  }

  /// The numbers of a text: runs of digits with points and commas inside, commas removed.
  static func digits(of text: String) -> [String] {
    var output: [String] = []
    var current = ""
    for character in text + " " {
      if character.isNumber {
        current.append(character)
      } else if !(character == "," || character == ".") || current.isEmpty {
        if !current.isEmpty { output.append(current) }
        current = ""
      } else if character == "." {
        current.append(character)
      }
    }
    return output.map { number in
      var number = number
      while number.hasSuffix(".") { number.removeLast() }
      return number
    }
  }
}
