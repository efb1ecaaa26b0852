public import Primitives
public import SQLite

extension LedgerStore {
  /// - Throws: `Refusal` `not_found` where there is no such capture.
  public static func requireCapture(
    _ id: ID<TransferKind>, on connection: Connection
  ) throws {
    let found = try connection.first(
      "SELECT 1 FROM transfer WHERE id = ? AND kind = 'capture'", [.blob(id.bytes)]
    ) { _ in true }
    guard found == true else { throw Refusal(.notFound, "There is no such capture.") }
  }
}
