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
    withUnsafeTemporaryAllocation(
      byteCount: previous.count + byteCountMax, alignment: 16
    ) { room in
      var text = ChainText(in: room)
      previous.withUnsafeBytes { text.add($0) }
      writeCanonical(into: &text)
      return Digest.sha256(UnsafeRawBufferPointer(rebasing: room[..<text.count]))
    }
  }

  /// The names and the numbers are shorter than 512 bytes together; a character has six at most.
  private var byteCountMax: Int {
    let blobs = (holdID?.count ?? 0) + id.count + (reference?.count ?? 0) + (refersTo?.count ?? 0)
    return 512 + 2 * blobs + 6 * (kind.utf8.count + reason.utf8.count)
  }

  /// Writes the members straight in the order of RFC 8785: every hold passes here, and a tree of values that is
  /// sorted first costs ten times as much.
  private func writeCanonical(into text: inout ChainText) {
    let isSecond = version > 1
    text.add("{\"amount\":", amount)
    text.add(",\"atMs\":", at)
    text.add(",\"credit\":", credit)
    text.add(",\"debit\":", debit)
    if isSecond { text.add(",\"expiresMs\":", expiresAt) }
    text.add(",\"holdId\":", hex: holdID)
    text.add(",\"id\":", hex: id)
    text.add(",\"kind\":", text: kind)
    text.add(",\"reason\":", text: reason)
    if isSecond { text.add(",\"reference\":", hex: reference) }
    text.add(",\"refersTo\":", hex: refersTo)
    if isSecond { text.add(",\"released\":", released) }
    text.add(",\"seq\":", sequence)
    if isSecond { text.add(",\"v\":", version) }
    text.add("}")
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
