internal import Primitives

/// A piece of a filter with where it stands, in characters from 0.
struct FilterToken: Equatable {
  enum Kind: Equatable {
    case word(String)
    case quoted(String)
    case symbol(String)
    case end
  }

  let kind: Kind
  let position: Int

  /// The word in capitals, where this is an unquoted word.
  var keyword: String? {
    if case .word(let text) = kind { text.uppercased() } else { nil }
  }
}

/// Why a filter is not one, where, and what was expected there.
func filterRefusal(at position: Int, expected: String) -> Refusal {
  Refusal(
    .filterInvalid, "The filter is not valid at character \(position): expected \(expected).",
    facts: ["position": .number(position), "expected": .string(expected)])
}

/// Cuts a filter into tokens.
struct FilterLexer {
  static let characterCountMax = 4_000

  static func tokens(_ text: String) throws(Refusal) -> [FilterToken] {
    let characters = Array(text.unicodeScalars.prefix(characterCountMax + 1))
    guard characters.count <= characterCountMax else {
      throw filterRefusal(at: characterCountMax, expected: "at most 4000 characters")
    }
    var tokens: [FilterToken] = []
    var at = 0
    while at < characters.count {
      let start = at
      let character = characters[at]
      if character.properties.isWhitespace {
        at += 1
      } else if character == "\"" || character == "'" {
        tokens.append(.init(kind: .quoted(try quoted(characters, &at)), position: start))
      } else if let symbol = symbol(characters, &at) {
        tokens.append(.init(kind: .symbol(symbol), position: start))
      } else {
        while at < characters.count, isWordPart(characters[at]) { at += 1 }
        guard at > start else {
          throw filterRefusal(at: start, expected: "a field, a value or an operator")
        }
        var word = ""
        word.unicodeScalars.append(contentsOf: characters[start..<at])
        tokens.append(.init(kind: .word(word), position: start))
      }
    }
    tokens.append(.init(kind: .end, position: characters.count))
    return tokens
  }

  private static func quoted(_ characters: [Unicode.Scalar], _ at: inout Int) throws(Refusal)
    -> String
  {
    let start = at
    let mark = characters[at]
    var text = String.UnicodeScalarView()
    at += 1
    while at < characters.count, characters[at] != mark {
      if characters[at] == "\\", at + 1 < characters.count { at += 1 }
      text.append(characters[at])
      at += 1
    }
    guard at < characters.count else { throw filterRefusal(at: start, expected: "a closing quote") }
    at += 1
    return String(text)
  }

  private static func symbol(_ characters: [Unicode.Scalar], _ at: inout Int) -> String? {
    let next = at + 1 < characters.count ? characters[at + 1] : " "
    switch characters[at] {
    case "!", "<", ">":
      if next == "=" {
        defer { at += 2 }
        return String(characters[at]) + "="
      }
      guard characters[at] != "!" else { return nil }
      fallthrough
    case "=", "(", ")", "[", "]", ",":
      defer { at += 1 }
      return String(characters[at])
    default: return nil
    }
  }

  private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.properties.isWhitespace { return false }
    return !"()[],=<>!\"'".unicodeScalars.contains(scalar)
  }
}
