public import Primitives

extension AccountName {
  /// Reads `user:ID`, `provider:ID` or a platform account such as `platform_fees`, or nil.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("user", 2):
      guard let id = ID<TransferKind>(String(parts[1])) else { return nil }
      self = .user(id)
    case ("provider", 2):
      guard (1...128).contains(parts[1].utf8.count) else { return nil }
      self = .provider(String(parts[1]))
    default:
      guard let kind = AccountKind(rawValue: text), kind != .userAvailable,
        kind != .providerEarned
      else { return nil }
      self = .platform(kind)
    }
  }
}

extension Balance {
  /// `balanceMicrotokens`, `heldMicrotokens`, `availableMicrotokens` and the scale.
  public var json: JSONObject {
    [
      "balanceMicrotokens": .int(balance.count), "heldMicrotokens": .int(held.count),
      "availableMicrotokens": .int(available.count), "microtokensPerToken": 1_000_000,
    ]
  }
}

extension LedgerEntry {
  /// The movement as the account's owner sees it.
  public var json: JSONObject {
    [
      "sequence": .int(sequence), "id": .string(id.text), "kind": .string(kind),
      "amountMicrotokens": .int(amount.count),
      "balanceChangeMicrotokens": .int(balanceChange.count),
      "heldChangeMicrotokens": .int(heldChange.count),
      "counterparty": .string(counterparty.rawValue), "reason": .string(reason),
      "at": .string(at.rfc3339), "holdId": .optional(holdID?.text),
      "refersTo": .optional(refersTo?.text),
    ]
  }

  /// The names of `cells`.
  public static let columns = [
    "sequence", "id", "at", "kind", "reason", "counterparty", "amountMicrotokens",
    "balanceChangeMicrotokens", "heldChangeMicrotokens", "holdId", "refersTo",
  ]

  /// The movement as cells of a table.
  public var cells: [TableCell] {
    [
      .number(sequence), .text(id.text), .text(at.rfc3339), .text(kind), .text(reason),
      .text(counterparty.rawValue), .number(amount.count), .number(balanceChange.count),
      .number(heldChange.count), .text(holdID?.text ?? ""), .text(refersTo?.text ?? ""),
    ]
  }
}

extension LedgerStatement {
  /// The statement as JSON.
  public var json: JSONObject {
    [
      "from": .string(from.rfc3339), "to": .string(to.rfc3339), "opening": .object(opening.json),
      "movements": .array(entries.map { .object($0.json) }), "closing": .object(closing.json),
    ]
  }

  /// The statement as CSV: a line for the opening, one for each movement, one for the closing; the last two columns
  /// run along.
  public var csv: String {
    let blank = [TableCell](repeating: .text(""), count: LedgerEntry.columns.count - 4)
    func edge(_ name: String, _ moment: Timestamp, _ state: Balance) -> [TableCell] {
      [.text(""), .text(""), .text(moment.rfc3339), .text(name)] + blank
        + [.number(state.balance.count), .number(state.held.count)]
    }
    var (balance, held) = (opening.balance.count, opening.held.count)
    let rows = entries.map { entry -> [TableCell] in
      balance += entry.balanceChange.count
      held += entry.heldChange.count
      return entry.cells + [.number(balance), .number(held)]
    }
    return TableCell.csv(
      header: LedgerEntry.columns + ["balanceMicrotokens", "heldMicrotokens"],
      [edge("opening", from, opening)] + rows + [edge("closing", to, closing)])
  }
}

/// A cell of a table that people open in a spreadsheet.
public enum TableCell: Sendable, Equatable {
  /// Text; it is defused.
  case text(String)
  /// A whole number.
  case number(Int64)

  /// A table after RFC 4180: CRLF, quotes where they are needed.
  ///
  /// Text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a return) gets an
  /// apostrophe in front.
  public static func csv(header: [String], _ rows: [[TableCell]]) -> String {
    let lines = [header.map { TableCell.text($0) }] + rows
    return lines.map { $0.map(\.written).joined(separator: ",") + "\r\n" }.joined()
  }

  private var written: String {
    guard case .text(var text) = self else {
      if case .number(let number) = self { return String(number) }
      return ""
    }
    if let first = text.unicodeScalars.first, "=+-@\t\r".unicodeScalars.contains(first) {
      text = "'" + text
    }
    let isPlain = text.unicodeScalars.allSatisfy { !"\",\r\n".unicodeScalars.contains($0) }
    return isPlain ? text : "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
