public import Primitives
public import SQLite

extension AuditLog {
  /// Work whose effect is outside of the record, such as on files, and how the log names it.
  public struct Work: Sendable {
    /// What is about to be done, such as `index.rebuild`.
    public let action: String
    /// What has been done then, such as `index.rebuilt`.
    public let done: String
    /// To what, as far as it is known before.
    public let subject: String
    /// Whether it is done even where it cannot be noted before: a stolen key is removed whatever the disk says.
    public let isUrgent: Bool

    /// Work, named.
    public init(_ action: String, done: String, on subject: String, isUrgent: Bool = false) {
      self.action = action
      self.done = done
      self.subject = subject
      self.isUrgent = isUrgent
    }
  }

  /// Notes an import in the transaction of its first batch, or of its last.
  ///
  /// - Parameter counts: What it did; nil where it has only begun.
  public static func noteImport(
    _ counts: String?, by author: Author, at now: Timestamp, on connection: Connection
  ) throws {
    try record(
      counts == nil ? "catalog.import" : "catalog.imported", on: "catalog",
      detail: counts ?? "begun", by: author, at: now, on: connection)
  }

  /// Does work outside of the record between two rows: what is meant, committed before; what came of it, after. A
  /// crash in between leaves the first, which says that it may have been done.
  ///
  /// - Parameter outcome: On what, where that is known only now, and a few stable words on it.
  public static func around<T: Sendable>(
    _ work: Work, in database: Database, clock: Clock, by author: Author,
    outcome: (T) -> (subject: String?, detail: String) = { _ in (nil, "") },
    _ effect: () async throws -> T
  ) async throws -> T {
    func note(_ action: String, _ subject: String, _ detail: String) async throws {
      let now = clock.now
      try await database.write { connection in
        try record(action, on: subject, detail: detail, by: author, at: now, on: connection)
      }
    }
    do {
      try await note(work.action, work.subject, "begun")
    } catch {
      guard work.isUrgent else { throw error }
    }
    let result: T
    do {
      result = try await effect()
    } catch {
      // What failed is said to the caller; where this fails too, the row before stands alone.
      try? await note(work.action, work.subject, "failed")
      throw error
    }
    let (subject, detail) = outcome(result)
    try await note(work.done, subject ?? work.subject, detail)
    return result
  }
}
