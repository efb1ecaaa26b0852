package import Primitives
internal import Synchronization

/// The events of one turn while it runs, for everybody who follows it. Appending never waits for a reader.
package final class LiveTurn: Sendable {
  private struct State {
    var events: [TurnEvent] = []
    var isFinished = false
    var followers: [Int: AsyncStream<TurnEvent>.Continuation] = [:]
    var nextFollower = 0
    var task: Task<Void, Never>?
    var cancelled: Cancelled?
  }

  /// Who ended a turn before its time; the raw value is the reason that clients see.
  enum Cancelled: String {
    case user = "user_cancel"
    case shutdown
  }

  package let conversationID: ID<ConversationKind>
  package let turnID: ID<TurnKind>
  /// The secret of a new anonymous conversation, to be shown once.
  package let secret: String?
  private let state = Mutex(State())

  init(conversationID: ID<ConversationKind>, turnID: ID<TurnKind>, secret: String?) {
    self.conversationID = conversationID
    self.turnID = turnID
    self.secret = secret
  }

  var events: [TurnEvent] { state.withLock { $0.events } }

  /// Takes the task that runs the turn; a cancellation that came before it is made good.
  func own(_ task: Task<Void, Never>) {
    let isCancelled = state.withLock { state in
      state.task = task
      return state.cancelled != nil
    }
    if isCancelled { task.cancel() }
  }

  var cancelled: Cancelled? { state.withLock { $0.cancelled } }

  /// Stops the turn; the first reason counts.
  func cancel(_ reason: Cancelled) {
    let task = state.withLock { state in
      state.cancelled = state.cancelled ?? reason
      return state.task
    }
    task?.cancel()
  }

  /// Returns when the turn's task has ended.
  func ended() async { await state.withLock { $0.task }?.value }

  func append(_ event: TurnEvent) {
    let followers = state.withLock { state in
      state.events.append(event)
      return Array(state.followers.values)
    }
    for follower in followers { follower.yield(event) }
  }

  func finish() {
    let followers = state.withLock { state in
      state.isFinished = true
      defer { state.followers = [:] }
      return Array(state.followers.values)
    }
    for follower in followers { follower.finish() }
  }

  /// Every event after a number, those to come included; ends with the turn.
  package func events(after seq: Int64) -> AsyncStream<TurnEvent> {
    AsyncStream { continuation in
      let follower = state.withLock { state -> Int? in
        for event in state.events where event.seq > seq { continuation.yield(event) }
        if state.isFinished { return nil }
        state.nextFollower += 1
        state.followers[state.nextFollower] = continuation
        return state.nextFollower
      }
      guard let follower else {
        continuation.finish()
        return
      }
      continuation.onTermination = { [weak self] _ in
        _ = self?.state.withLock { $0.followers.removeValue(forKey: follower) }
      }
    }
  }
}
