import Foundation
import SQLite
import Synchronization

/// A door between two threads: closed until somebody opens it.
final class Gate: Sendable {
  private let isOpen = Mutex(false)

  func open() { isOpen.withLock { $0 = true } }
  var isOpenNow: Bool { isOpen.withLock { $0 } }

  /// Blocks the thread until the gate is open, ten seconds at most.
  func wait() {
    for _ in 0..<10_000 {
      if isOpen.withLock({ $0 }) { return }
      Thread.sleep(forTimeInterval: 0.001)
    }
  }
}

/// Counts across tasks.
final class Tally: Sendable {
  private let count = Mutex(0)

  /// - Returns: The new count.
  @discardableResult
  func add() -> Int {
    count.withLock { count in
      count += 1
      return count
    }
  }

  var value: Int { count.withLock { $0 } }
}

/// What a test throws to see that it comes out again.
struct Stop: Error, Equatable {}

/// A record with one table of notes.
let noteMigrations: [Migration] = [
  Migration(
    name: "m0001-create-note.sql",
    sql: "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;")
]

extension Connection {
  /// Adds a note.
  func note(_ text: String) throws {
    try run("INSERT INTO note(text) VALUES (?)", [.text(text)])
  }

  /// All notes in the order they were added.
  func notes() throws -> [String] {
    try rows("SELECT text FROM note ORDER BY id") { $0.text(0) }
  }
}
