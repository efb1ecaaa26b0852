internal import Synchronization

/// The published snapshot, and those that running page walks still need. Readers never wait.
package final class SearchIndex: Sendable {
  private struct Pin {
    let snapshot: Snapshot
    var microseconds: Int64
  }

  private struct State {
    var current: Snapshot
    /// Snapshots behind cursors that were handed out, the longest unused first.
    var pins: [Pin] = []
  }

  /// Cursors older than this many later ones have expired,
  package static let pinnedMax = 64
  /// those unused for longer than this,
  package static let pinnedSeconds: Int64 = 600
  /// and those whose base is older than the one before the current: a base may be gigabytes.
  package static let baseMax = 2

  private let state: Mutex<State>
  private let microseconds: @Sendable () -> Int64

  /// - Parameter microseconds: A rising clock for the age of cursors.
  package init(_ snapshot: Snapshot, microseconds: @escaping @Sendable () -> Int64) {
    state = Mutex(State(current: snapshot))
    self.microseconds = microseconds
  }

  /// The newest snapshot.
  package var snapshot: Snapshot { state.withLock { $0.current } }

  func publish(_ snapshot: Snapshot) {
    let now = microseconds()
    state.withLock { state in
      state.current = snapshot
      SearchIndex.drop(&state, now)
    }
  }

  /// Keeps a snapshot for the cursors that name its revision.
  package func pin(_ snapshot: Snapshot) {
    let now = microseconds()
    state.withLock { state in
      state.pins.removeAll { $0.snapshot === snapshot }
      state.pins.append(Pin(snapshot: snapshot, microseconds: now))
      SearchIndex.drop(&state, now)
    }
  }

  /// The snapshot of a revision and generation, where it is current or pinned.
  package func snapshot(revision: Int64, generation: String) -> Snapshot? {
    state.withLock { state in
      ([state.current] + state.pins.map(\.snapshot)).first {
        $0.revision == revision && $0.generation == generation
      }
    }
  }

  private static func drop(_ state: inout State, _ now: Int64) {
    state.pins.removeAll { now - $0.microseconds > pinnedSeconds * 1_000_000 }
    if state.pins.count > pinnedMax { state.pins.removeFirst(state.pins.count - pinnedMax) }
    var bases = [ObjectIdentifier(state.current.base)]
    for pin in state.pins.reversed() {
      let base = ObjectIdentifier(pin.snapshot.base)
      if !bases.contains(base), bases.count < baseMax { bases.append(base) }
    }
    state.pins.removeAll { !bases.contains(ObjectIdentifier($0.snapshot.base)) }
  }
}
