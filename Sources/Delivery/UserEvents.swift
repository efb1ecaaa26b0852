public import Identity
internal import Ledger
public import Primitives
public import SQLite
internal import Synchronization

/// The live streams of signed-in users: their sessions' events and warnings out of the outbox, and their balance.
public final class UserEvents: Sendable {
  /// Streams that one user may have open.
  public static let streamsPerUserMax = 5
  /// Streams of all users.
  public static let streamsMax = 1_000
  /// Events that a stream may be behind: at the limit it ends, and the client takes up where it was.
  public static let behindMax = 256
  /// Events of the past that one stream begins with; a client that missed more comes again.
  public static let backlogMax = 500
  /// Bytes of such events, but for the last one: less than the server holds for a client that reads slowly.
  public static let backlogByteCountMax = 1_048_576

  /// What a stream carries.
  public enum Item: Sendable {
    /// An event of the outbox.
    case event(OutboxEvent)
    /// The balance as it is now: `balanceMicrotokens, heldMicrotokens, availableMicrotokens`.
    case balance(JSON)
  }

  /// One open stream.
  public struct Stream: Sendable {
    /// The balance at the start.
    public let balance: JSON
    /// The events that were missed, oldest first.
    public let backlog: [OutboxEvent]
    /// Whether more were missed: then the client is to come again after these.
    public let isCut: Bool
    /// The number that live events come after.
    public let last: Int64
    /// What comes; it ends when the server does, or when the reader is too slow.
    public let live: AsyncStream<Item>
    let number: Int
    let user: ID<UserKind>
  }

  private struct State {
    var isClosed = false
    var next = 0
    var count = 0
    var streams: [ID<UserKind>: [Int: AsyncStream<Item>.Continuation]] = [:]
  }

  private let database: Database
  private let state = Mutex(State())
  private let movement = Mutex<Int64?>(nil)

  /// Streams over a record.
  public init(database: Database) { self.database = database }

  /// Opens a stream; `close` must be called when it is done with.
  ///
  /// - Parameter last: The number of the last event that the client has, or nil to begin now.
  /// - Throws: `Refusal` `rate_limited` where too many are open, `stream_expired` where the events after that
  ///   number are not kept any more.
  public func open(_ user: ID<UserKind>, after last: Int64?) async throws -> Stream {
    // Heard first, read then: nothing falls between the two.
    let (number, live) = try register(user)
    do {
      let start = try await database.read { connection in
        let routed = try OutboxStore.routed(connection)
        if let last {
          let isKept = try last >= OutboxStore.pruned(connection) && last <= routed
          guard isKept else {
            throw Refusal(.streamExpired, "The events after this id are not kept any more.")
          }
        }
        let missed = try last.map {
          try OutboxStore.events(
            of: user.bytes, after: $0, limit: UserEvents.backlogMax + 1, on: connection)
        }
        return (
          routed: routed, missed: missed ?? [],
          balance: try UserEvents.balance(of: user, on: connection)
        )
      }
      var byteCount = 0
      let fitting = start.missed.prefix(UserEvents.backlogMax).prefix { event in
        defer { byteCount += event.payload.utf8.count }
        return byteCount < UserEvents.backlogByteCountMax
      }
      return Stream(
        balance: start.balance, backlog: Array(fitting),
        isCut: fitting.count < start.missed.count, last: start.routed, live: live,
        number: number, user: user)
    } catch {
      end(number, of: user)
      throw error
    }
  }

  /// Ends a stream.
  public func close(_ stream: Stream) { end(stream.number, of: stream.user) }

  /// Ends every stream, and refuses new ones: the server ends.
  public func closeAll() {
    let streams = state.withLock { state in
      state.isClosed = true
      state.count = 0
      defer { state.streams = [:] }
      return state.streams.values.flatMap(\.values)
    }
    for stream in streams { stream.finish() }
  }

  /// Streams that are open.
  public var count: Int { state.withLock { $0.count } }

  private func register(_ user: ID<UserKind>) throws(Refusal) -> (Int, AsyncStream<Item>) {
    let (live, continuation) = AsyncStream.makeStream(
      of: Item.self, bufferingPolicy: .bufferingOldest(UserEvents.behindMax))
    let outcome = state.withLock { state -> Result<Int, Refusal> in
      if state.isClosed {
        return .failure(Refusal(.shuttingDown, "The server ends.", retryAfterSeconds: 1))
      }
      let own = state.streams[user]?.count ?? 0
      guard own < UserEvents.streamsPerUserMax, state.count < UserEvents.streamsMax else {
        return .failure(
          Refusal(
            .rateLimited, "At most \(UserEvents.streamsPerUserMax) streams at once; close one.",
            retryAfterSeconds: 15))
      }
      state.next += 1
      state.count += 1
      state.streams[user, default: [:]][state.next] = continuation
      return .success(state.next)
    }
    return (try outcome.get(), live)
  }

  private func end(_ number: Int, of user: ID<UserKind>) {
    let continuation = state.withLock { state -> AsyncStream<Item>.Continuation? in
      guard let found = state.streams[user]?.removeValue(forKey: number) else { return nil }
      state.count -= 1
      if state.streams[user]?.isEmpty == true { state.streams[user] = nil }
      return found
    }
    continuation?.finish()
  }

  // MARK: Publishing

  /// Hands events that were just routed to the streams that they concern. Never waits for a reader.
  func publish(_ events: [RoutedEvent]) {
    for routed in events where WebhookEvents.isForUsers(routed.event.type) {
      guard let user = routed.user.flatMap({ ID<UserKind>(bytes: $0) }) else { continue }
      send(.event(routed.event), to: user)
    }
  }

  /// Looks which accounts have moved since the last look, and tells those that listen.
  func publishBalances() async throws {
    let listeners = state.withLock { Set($0.streams.keys) }
    let last = movement.withLock { $0 }
    let found = try await database.read { connection -> (Int64, [ID<UserKind>: JSON]) in
      let newest = try OutboxStore.newestTransfer(connection)
      guard let last, newest > last, !listeners.isEmpty else { return (newest, [:]) }
      var balances: [ID<UserKind>: JSON] = [:]
      for owner in try OutboxStore.moved(after: last, through: newest, on: connection) {
        guard let user = ID<UserKind>(bytes: owner), listeners.contains(user) else { continue }
        balances[user] = try UserEvents.balance(of: user, on: connection)
      }
      return (newest, balances)
    }
    movement.withLock { $0 = found.0 }
    for (user, balance) in found.1 { send(.balance(balance), to: user) }
  }

  private func send(_ item: Item, to user: ID<UserKind>) {
    let streams = state.withLock { $0.streams[user] ?? [:] }
    for (number, stream) in streams {
      // What does not fit is not lost: the client comes again and names the last event that it has.
      if case .dropped = stream.yield(item) { end(number, of: user) }
    }
  }

  private static func balance(of user: ID<UserKind>, on connection: Connection) throws -> JSON {
    let balance = try LedgerStore.balance(.user(user), on: connection)
    return [
      "balanceMicrotokens": .int(balance.balance.count),
      "heldMicrotokens": .int(balance.held.count),
      "availableMicrotokens": .int(balance.available.count),
    ]
  }
}
