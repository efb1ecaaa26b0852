internal import Primitives
internal import Prompts

/// The guide's sentences, from `Prompts/guide.json`, with `{slots}` filled from the record.
struct Wording: Sendable {
  static let shipped = Wording(text: PromptFiles.guide)

  private let texts: JSON

  init(text: String) { texts = (try? JSON.parse(text)) ?? [:] }

  /// The sentence of a key with its slots filled. A key that is missing shows itself, so that tests see it.
  func callAsFunction(_ key: String, _ slots: [String: String] = [:]) -> String {
    fill(texts[key]?.string ?? key, slots)
  }

  /// The question about a field, or nil where there is none.
  func question(_ field: String) -> String? { texts["questions"]?[field]?.string }

  /// The text of a chip.
  func chip(_ key: String) -> String { texts["chips"]?[key]?.string ?? key }

  private func fill(_ text: String, _ slots: [String: String]) -> String {
    var output = ""
    var rest = text[...]
    // One pass: a slot's value is never searched for slots.
    while let open = rest.firstIndex(of: "{") {
      output += rest[..<open]
      rest = rest[rest.index(after: open)...]
      guard let close = rest.firstIndex(of: "}") else { break }
      output += slots[String(rest[..<close])] ?? ""
      rest = rest[rest.index(after: close)...]
    }
    return output + rest
  }
}
