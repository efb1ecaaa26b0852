/// What goes in and comes out, said by a list of nouns and a verb or "input": "audio and video input", "a model that
/// reads images", "send it audio files", "outputs audio". A need such as "read PDF files" alone is none.
struct ModalityGrammar {
  private static let values: [String: String] = [
    "image": "image", "images": "image", "picture": "image", "pictures": "image", "photo": "image",
    "photos": "image", "bilder": "image", "audio": "audio", "video": "video", "videos": "video",
    "pdf": "file", "pdfs": "file", "file": "file", "files": "file", "text": "text", "texts": "text",
  ]
  static let nouns = Set(values.keys)

  /// Nouns in a row.
  private struct Listing {
    var values: [String] = []
    var hasText = false
    var count = 0
    var isAny = false
    var end: Int
  }

  private let words: [QueryWord]
  private let start: Int
  private let topic: QueryTopic

  /// The conditions that start at a word; empty where there is none.
  static func find(_ words: [QueryWord], at start: Int, topic: QueryTopic) -> [QueryMatch] {
    guard words[start].isOpen else { return [] }
    let grammar = ModalityGrammar(words: words, start: start, topic: topic)
    return grammar.nounForm() ?? grammar.verbForm() ?? grammar.sendForm() ?? []
  }

  private func folded(_ index: Int) -> String {
    words.indices.contains(index) && words[index].isOpen ? words[index].folded : ""
  }

  /// "images, audio and text", "PDF files"; nil where no noun stands there.
  private func listing(from first: Int) -> Listing? {
    var list = Listing(end: first)
    var at = first
    while let value = ModalityGrammar.values[folded(at)] {
      let isFiler = value == "file" && list.count > 0 && at == list.end
      if !isFiler {
        list.count += 1
        if value == "text" {
          list.hasText = true
        } else if !list.values.contains(value) {
          list.values.append(value)
        }
      }
      at += 1
      list.end = at
      if ["and", "or", "&", "/", "plus", "und"].contains(folded(at)),
        ModalityGrammar.values[folded(at + 1)] != nil
      {
        list.isAny = list.isAny || folded(at) == "or"
        at += 1
      } else if words[at - 1].endsClause {
        // "images, audio and text": a comma goes on with the list where a noun follows.
        if ["and", "or"].contains(folded(at)) { at += 1 }
      } else if !["file", "files"].contains(folded(at)) {
        break
      }
    }
    return list.count == 0 ? nil : list
  }

  /// "image and audio input", "PDF files as input", "audio output".
  private func nounForm() -> [QueryMatch]? {
    guard let list = listing(from: start), !list.values.isEmpty,
      list.end == start || !words[list.end - 1].endsClause
    else { return nil }
    var at = list.end
    let isAs = folded(at) == "as"
    if isAs { at += 1 }
    let isInput = ["input", "inputs", "eingabe"].contains(folded(at))
    guard isInput || !isAs && ["output", "outputs"].contains(folded(at)) else { return nil }
    let things: Set<String> = [
      "device", "devices", "field", "fields", "form", "forms", "box", "element", "validation",
      "jack",
      "folder", "directory", "file", "files", "path", "stream", "streams", "format",
    ]
    guard words[at].endsClause || !things.contains(folded(at + 1)) else { return nil }
    // "create an audio output" is a thing to be made, "takes an image input" a condition.
    let isThing =
      start > 0
      && ["a", "an", "the", "my", "your", "this", "its"].contains(words[start - 1].folded)
    let verb = start > 1 ? words[start - 2].folded : ""
    let isTaken = ["with", "takes", "accepts", "take", "accept", "support", "supports"].contains(
      verb)
    guard isAs || !isThing || isTaken else { return nil }
    return matches(list, start..<at + 1, isInput: isInput, keeps: false)
  }

  private static let thirdPerson: Set<String> = ["accepts", "understands", "takes"]
  private static let readers: Set<String> = [
    "accept", "understand", "take", "read", "reads", "see", "sees", "process", "processes",
    "handle",
    "handles", "watch", "watches", "hear", "hears", "check", "checks", "interpret", "interprets",
    "support", "supports", "accepting", "understanding",
  ]
  private static let makers: Set<String> = [
    "generates", "generate", "creates", "create", "draws", "draw", "produces", "produce", "makes",
    "make",
  ]

  /// "model that reads images", "outputs audio", "generate pictures through the API".
  private func verbForm() -> [QueryMatch]? {
    let verb = folded(start)
    let isReader =
      ModalityGrammar.readers.contains(verb) || ModalityGrammar.thirdPerson.contains(verb)
    let isMaker = ModalityGrammar.makers.contains(verb)
    guard isReader || isMaker || verb == "outputs", !isDenied else { return nil }
    var first = start + 1
    if ["both", "your", "our", "my"].contains(folded(first)) { first += 1 }
    guard let list = listing(from: first), !list.values.isEmpty else { return nil }
    var end = list.end
    let isTogether = folded(end) == "together" && !words[end - 1].endsClause
    if isTogether { end += 1 }
    if isReader { end = pastInput(end) }
    let isOfModel = followsModel
    if isReader {
      // "takes pictures" is what a camera does.
      let isCamera = verb == "takes" || verb == "take"
      guard
        !isCamera
          || ["image", "images", "audio", "pdf", "pdfs", "file", "files"].contains(folded(first))
      else { return nil }
      let isSaid = ModalityGrammar.thirdPerson.contains(verb) && topic.isNear(start..<end, after: 0)
      let isMany = list.hasText && list.count >= 3 || isTogether && list.count >= 2
      guard isOfModel || isSaid || isMany else { return nil }
      return matches(list, start..<end, isInput: true, keeps: false)
    }
    if verb == "outputs" {
      guard isOfModel || topic.isNear(start..<end, after: 0) else { return nil }
      return matches(list, start..<end, isInput: false, keeps: false)
    }
    guard isOfModel || isThroughInterface(end) else { return nil }
    return matches(list, start..<end, isInput: false, keeps: true)
  }

  /// "accepts images as input": the end with what only says so again.
  private func pastInput(_ end: Int) -> Int {
    guard !words[end - 1].endsClause else { return end }
    let first = folded(end) == "as" ? end + 1 : end
    return ["input", "inputs"].contains(folded(first)) ? first + 1 : end
  }

  private var isDenied: Bool {
    guard start > 0 else { return false }
    return BoundWords.negations.contains(words[start - 1].folded)
  }

  /// Whether a model is what the verb is said of: "a model that can", "an LLM which", "model to".
  private var followsModel: Bool {
    let links: Set<String> = [
      "that", "which", "to", "can", "who", "and", "also", "able", "it", "must", "should",
    ]
    guard start > 0,
      links.contains(words[start - 1].folded) || QueryTopic.models.contains(words[start - 1].folded)
    else { return false }
    return words[max(start - 8, 0)..<start].contains { QueryTopic.models.contains($0.folded) }
  }

  private func isThroughInterface(_ end: Int) -> Bool {
    guard ["through", "via", "over"].contains(folded(end)) else { return false }
    let next = ["the", "an", "your"].contains(folded(end + 1)) ? end + 2 : end + 1
    return folded(next) == "api"
  }

  /// "send it audio files", "feed the model images".
  private func sendForm() -> [QueryMatch]? {
    guard ["send", "give", "feed", "show", "pass"].contains(folded(start)) else { return nil }
    var first = start + 1
    if ["it", "them"].contains(folded(first)) {
      first += 1
    } else if folded(first) == "the", QueryTopic.models.contains(folded(first + 1)) {
      first += 2
    } else {
      return nil
    }
    guard let list = listing(from: first), !list.values.isEmpty else { return nil }
    return matches(list, start..<list.end, isInput: true, keeps: false)
  }

  private func matches(
    _ list: Listing, _ range: Range<Int>, isInput: Bool, keeps: Bool
  ) -> [QueryMatch] {
    let field = isInput ? "inputModalities" : "outputModalities"
    let side = isInput ? "input" : "output"
    if list.isAny, list.values.count > 1 {
      let values = list.values.map { FilterExpression.Value.word($0) }
      return [
        QueryMatch(
          range: range, expression: .oneOf(field: field, values),
          label: list.values.joined(separator: " or ") + " \(side)", keepsWords: keeps)
      ]
    }
    return list.values.map { value in
      QueryMatch(
        range: range, expression: .compare(field: field, .equal, .word(value)),
        label: "\(value) \(side)", keepsWords: keeps)
    }
  }
}
