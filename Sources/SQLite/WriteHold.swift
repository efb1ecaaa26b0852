internal import Primitives
internal import Synchronization

/// How much a write matters while the record takes not all of them.
public enum WriteRank: Int, Sendable, Comparable {
  /// What nothing else is said of.
  case ordinary
  /// Without it nobody could even read what is theirs: a sign-in, its renewal, its end. Also what the audit log says of
  /// an operator's work on files.
  case essential
  /// Of whoever holds the others back: what must be written before they may.
  case opening

  /// Whether the left one is refused sooner.
  public static func < (left: WriteRank, right: WriteRank) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// Why a record takes no ordinary writes, and which it takes all the same. One for all handles of a database.
final class WriteHold: Sendable {
  private struct State {
    let refusal: Refusal
    let least: WriteRank
  }

  private let state = Mutex<State?>(nil)

  func set(_ refusal: Refusal, admitting least: WriteRank) {
    state.withLock { $0 = State(refusal: refusal, least: least) }
  }

  func end() { state.withLock { $0 = nil } }

  /// - Throws: The hold's refusal, for a write of a lower rank than it admits.
  func require(_ rank: WriteRank) throws(Refusal) {
    if let state = state.withLock({ $0 }), rank < state.least { throw state.refusal }
  }

  /// Whether there is one.
  var isSet: Bool { state.withLock { $0 != nil } }
}
