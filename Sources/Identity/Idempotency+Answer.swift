public import SQLite

extension Idempotency {
  /// Answers a keyed request in the order of the specification (core, 8.1): in flight, another body, the stored
  /// answer, and only then whatever `perform` has to say of the body.
  ///
  /// A repeat waits for the first, as long as that takes no longer than the patience, and gets its answer.
  /// - Parameters:
  ///   - isLong: Whether `perform` waits for others than the record: its repeats are then refused at once.
  ///   - perform: Looks at the body, and runs the effect by `once`. It is not asked where an answer is stored.
  /// - Throws: `Refusal` `idempotency_in_flight`, `idempotency_conflict`, and what `perform` throws.
  public func answer(
    _ key: Key, from database: Database, isLong: Bool = false,
    perform: @Sendable () async throws -> Answer
  ) async throws -> Answer {
    try await running.run(key) {
      if let known = try await database.read({ try stored(key, on: $0) }) { return known }
      if isLong { running.refuseRepeats(of: key) }
      return try await perform()
    }
  }
}
