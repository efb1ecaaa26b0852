internal import Primitives
internal import Synchronization

/// Numbers a turn's events and hands them to its followers.
package final class TurnWriter: Sendable {
  private let live: LiveTurn
  private let seq: Mutex<Int64>
  private let block = Mutex(0)

  init(live: LiveTurn, seq: Int64) {
    self.live = live
    self.seq = Mutex(seq)
  }

  func emit(_ type: String, _ data: JSON) {
    seq.withLock { seq in
      seq += 1
      live.append(TurnEvent(seq: seq, type: type, data: data.bytes))
    }
  }

  /// An event with its number that nobody gets yet.
  func number(_ type: String, _ data: JSON) -> TurnEvent {
    seq.withLock { seq in
      seq += 1
      return TurnEvent(seq: seq, type: type, data: data.bytes)
    }
  }

  /// One block of text of its own.
  func say(_ text: String) {
    let number = block.withLock { block in
      block += 1
      return block
    }
    emit("text.delta", ["block": .string("t\(number)"), "text": .string(text)])
  }
}
