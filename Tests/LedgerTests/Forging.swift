import Cryptography
import Ledger
import Primitives
import SQLite
import Testing

/// What somebody who can write the file, and knows how rows are hashed, does behind the ledger's back.
extension Till {
  func unguard() throws {
    for trigger in ["transfer_no_update", "transfer_no_delete", "ledger_checkpoint_no_update"] {
      try connection.execute("DROP TRIGGER IF EXISTS \(trigger)")
    }
  }

  /// Hashes every row again, so that the chain fits what the rows say now: a second writing of the form in
  /// Pages/ledger.md.
  func rechain() throws {
    var previous = [UInt8](repeating: 0, count: 32)
    let rows = try connection.rows(
      """
      SELECT seq, id, kind, debit, credit, amount, hold_id, refers_to, reason, at_ms, version,
      expires_ms, reference, released FROM transfer ORDER BY seq
      """
    ) { row -> (Int64, JSON) in
      var object: JSONObject = [
        "seq": Till.number(row, 0), "id": Till.hex(row, 1), "kind": .string(row.text(2)),
        "debit": Till.number(row, 3), "credit": Till.number(row, 4), "amount": Till.number(row, 5),
        "holdId": Till.hex(row, 6), "refersTo": Till.hex(row, 7), "reason": .string(row.text(8)),
        "atMs": Till.number(row, 9),
      ]
      if row.int(10) == 2 {
        object["v"] = 2
        object["expiresMs"] = Till.number(row, 11)
        object["reference"] = Till.hex(row, 12)
        object["released"] = Till.number(row, 13)
      }
      return (row.int(0), .object(object))
    }
    for (sequence, row) in rows {
      let hash = Digest.sha256(previous + row.canonicalBytes)
      try connection.run(
        "UPDATE transfer SET prev_hash = ?, row_hash = ? WHERE seq = ?",
        [.blob(previous), .blob(hash), .int(sequence)])
      previous = hash
    }
  }

  private static func hex(_ row: borrowing Row, _ column: Int32) -> JSON {
    row.isNull(column) ? .null : .string(BytesText.hex(row.blob(column)))
  }

  private static func number(_ row: borrowing Row, _ column: Int32) -> JSON {
    row.isNull(column) ? .null : .int(row.int(column))
  }

  /// Without forging it changes nothing: the form here is the ledger's own.
  func rechainIsIdentity() throws {
    let before = try texts("SELECT hex(row_hash) FROM transfer ORDER BY seq")
    try connection.savepoint {
      try unguard()
      try rechain()
    }
    let after = try texts("SELECT hex(row_hash) FROM transfer ORDER BY seq")
    #expect(before == after)
  }

  /// Makes the ledger one that was written before rows had their second version.
  func makeOld() throws {
    try unguard()
    try connection.run(
      "UPDATE transfer SET version = 1, expires_ms = NULL, reference = NULL, released = NULL")
    try rechain()
  }
}
