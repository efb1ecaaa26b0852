internal import Cryptography
internal import Primitives
internal import SQLite

/// A transfer as the chain hashes it.
///
/// The second version covers what the first one left to the hold's row: the hold's time-out and what it is for, and
/// what a closing capture releases. Rows of the first version keep their form, so old ledgers verify.
struct ChainRow {
  /// Version of the rows that are written now.
  static let current: Int64 = 2

  let version: Int64
  let sequence: Int64
  let id: [UInt8]
  let kind: String
  let debit: Int64
  let credit: Int64
  let amount: Int64
  let holdID: [UInt8]?
  let refersTo: [UInt8]?
  let reason: String
  let at: Int64
  /// Of a hold.
  let expiresAt: Int64?
  /// Of a hold.
  let reference: [UInt8]?
  /// Of a capture that closes its hold: what it releases beside. Nil where the hold stays open.
  let released: Int64?

  /// SHA-256(previous || RFC 8785 form of the row), L8.
  func hash(after previous: [UInt8]) -> [UInt8] {
    var bytes = previous
    bytes.reserveCapacity(previous.count + 400)
    writeCanonical(into: &bytes)
    return Digest.sha256(bytes)
  }

  /// Writes the members straight in the order of RFC 8785: every hold passes here, and a tree of values that is
  /// sorted first costs ten times as much.
  func writeCanonical(into output: inout [UInt8]) {
    func number(_ name: StaticString, _ value: Int64?) {
      output.append(name)
      output.append(value)
    }
    func hex(_ name: StaticString, _ value: [UInt8]?) {
      output.append(name)
      guard let value else { return output.append("null") }
      output.append("\"")
      BytesText.writeHex(value, into: &output)
      output.append("\"")
    }
    let isSecond = version > 1
    number("{\"amount\":", amount)
    number(",\"atMs\":", at)
    number(",\"credit\":", credit)
    number(",\"debit\":", debit)
    if isSecond { number(",\"expiresMs\":", expiresAt) }
    hex(",\"holdId\":", holdID)
    hex(",\"id\":", id)
    output.append(",\"kind\":")
    JSON.string(kind).write(into: &output)
    output.append(",\"reason\":")
    JSON.string(reason).write(into: &output)
    if isSecond { hex(",\"reference\":", reference) }
    hex(",\"refersTo\":", refersTo)
    if isSecond { number(",\"released\":", released) }
    number(",\"seq\":", sequence)
    if isSecond { number(",\"v\":", version) }
    output.append("}")
  }

  /// The columns that `read` takes, of a transfer named `t`.
  static let columns = """
    t.seq, t.id, t.kind, t.debit, t.credit, t.amount, t.hold_id, t.refers_to, t.reason, t.at_ms,
    t.version, t.expires_ms, t.reference, t.released
    """
  /// How many they are.
  static let columnCount: Int32 = 14

  static func read(_ row: borrowing Row) -> ChainRow {
    ChainRow(
      version: row.int(10), sequence: row.int(0), id: row.blob(1), kind: row.text(2),
      debit: row.int(3), credit: row.int(4), amount: row.int(5),
      holdID: row.isNull(6) ? nil : row.blob(6), refersTo: row.isNull(7) ? nil : row.blob(7),
      reason: row.text(8), at: row.int(9), expiresAt: row.optionalInt(11),
      reference: row.isNull(12) ? nil : row.blob(12), released: row.optionalInt(13))
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { append(contentsOf: $0) }
  }

  /// The decimal digits of a number, or `null`.
  fileprivate mutating func append(_ value: Int64?) {
    guard let value else { return append("null") }
    if value < 0 { append("-") }
    let start = count
    var rest = value.magnitude
    repeat {
      append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    self[start...].reverse()
  }
}
