internal import Synchronization

/// The published snapshot, and those that running page walks still need. Readers never wait.
package final class SearchIndex: Sendable {
  private struct State {
    var current: Snapshot
    /// Snapshots behind cursors that were handed out, oldest first.
    var pinned: [Snapshot] = []
  }

  /// Cursors older than this many later ones have expired.
  package static let pinnedMax = 64
  private let state: Mutex<State>

  package init(_ snapshot: Snapshot) { state = Mutex(State(current: snapshot)) }

  /// The newest snapshot.
  package var snapshot: Snapshot { state.withLock { $0.current } }

  func publish(_ snapshot: Snapshot) { state.withLock { $0.current = snapshot } }

  /// Keeps a snapshot for the cursors that name its revision.
  package func pin(_ snapshot: Snapshot) {
    state.withLock { state in
      state.pinned.removeAll { $0 === snapshot }
      state.pinned.append(snapshot)
      if state.pinned.count > SearchIndex.pinnedMax { state.pinned.removeFirst() }
    }
  }

  /// The snapshot of a revision and generation, where it is current or pinned.
  package func snapshot(revision: Int64, generation: String) -> Snapshot? {
    state.withLock { state in
      ([state.current] + state.pinned).first {
        $0.revision == revision && $0.generation == generation
      }
    }
  }
}
