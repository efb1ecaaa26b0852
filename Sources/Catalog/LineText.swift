internal import Primitives

/// Texts that people read on one line: names, taglines, tags.
///
/// A control character in one breaks lists, terminals and mails, and a mark of direction (U+202A to U+202E,
/// U+2066 to U+2069) makes one name look like another.
enum LineText {
  static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0...0x1F, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// nil where the text has no forbidden character, else which, in a few words.
  static func reason(_ text: String) -> String? {
    text.unicodeScalars.first(where: isForbidden).map { scalar in
      let digits = String(scalar.value, radix: 16, uppercase: true)
      let code = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
      return "must not hold the control character U+\(code)"
    }
  }

  /// Whether nothing of the text can be seen: blanks, and characters without a width.
  static func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
      scalar.properties.isWhitespace || scalar.properties.isDefaultIgnorableCodePoint
        || scalar.properties.generalCategory == .format || isForbidden(scalar)
        // An empty cell of Braille is a letter by its class, and white by its look.
        || scalar == "\u{2800}"
    }
  }

  /// A text with line breaks or tabs, with one blank for each run of them and of blanks; any other as it is.
  static func onOneLine(_ text: String) -> String {
    func isBreak(_ scalar: Unicode.Scalar) -> Bool { (0x09...0x0D).contains(scalar.value) }
    guard text.unicodeScalars.contains(where: isBreak) else { return text }
    let lines = text.unicodeScalars.split(whereSeparator: isBreak).map { line in
      line.split(separator: " ").map { String(String.UnicodeScalarView($0)) }
        .joined(separator: " ")
    }
    return lines.filter { !$0.isEmpty }.joined(separator: " ")
  }

  /// A row of an import with its one-line texts on one line: sources break their taglines.
  static func onOneLine(_ row: JSONObject) -> JSONObject {
    var row = row
    for name in Field.all.filter(\.isOneLine).map(\.name) + ["providerName"] {
      switch row[name] {
      case .string(let text)?: row[name] = .string(onOneLine(text))
      case .array(let values)?:
        row[name] = .array(values.map { $0.string.map { .string(onOneLine($0)) } ?? $0 })
      default: break
      }
    }
    return row
  }
}

extension Service {
  /// Checks the texts of one line and the figures of use. Only what comes in is checked: what was stored under
  /// wider limits stays readable.
  static func checkTexts(_ document: JSONObject, _ faults: inout [Refusal.Field]) {
    let known = Set(faults.map(\.pointer))
    func fault(_ pointer: String, _ reason: String?) {
      if let reason, !known.contains(pointer) { faults.append(.init(pointer, reason)) }
    }
    for field in Field.all where field.isOneLine {
      switch document[field.name] {
      case .string(let text)?: fault("/" + field.name, LineText.reason(text))
      case .array(let values)?:
        let reason = values.lazy.compactMap { $0.string.flatMap(LineText.reason) }.first
        fault("/" + field.name, reason.map { "each entry " + $0 })
      default: break
      }
    }
    for member in document["features"]?.object?.members ?? [] {
      fault("/features", LineText.reason(member.key))
    }
    let provider = document["providerName"]?.string ?? document["provider"]?["name"]?.string ?? ""
    fault("/providerName", LineText.reason(provider))
    for (pointer, name) in [("/name", document["name"]?.string ?? ""), ("/providerName", provider)]
    where !name.isEmpty && LineText.reason(name) == nil && LineText.isBlank(name) {
      fault(pointer, "must not be blank")
    }
    let figures = document["usage"]?.object?.members.compactMap(\.value.double) ?? []
    if figures.contains(where: { $0 < 0 }) { fault("/usage", "must have no figure below 0") }
  }
}
