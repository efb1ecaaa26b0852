internal import HTTPClient
internal import Primitives
internal import SQLite
internal import Synchronization

/// Takes events out of the outbox and sends each to the endpoints that want it, at least once, in no promised order.
///
/// What is sent and not yet written down when the process dies is sent again, under the same `webhook-id`.
public final class WebhookSender: Sendable {
  /// Sends one attempt; tests put theirs in place of the network.
  public typealias Post = @Sendable (WebhookRequest) async -> WebhookAnswer

  /// Attempts at once of endpoints that answer; those whose last attempt failed have as many of their own, so that
  /// the dead hold up nobody else.
  public static let runningMax = 8
  /// An attempt that takes longer gives its place to another, so that the slow hold up nobody either.
  public static let promptMilliseconds: Int64 = 1_000
  /// How many may have given up their places so.
  public static let lateMax = 32
  /// Attempts at once at one endpoint that answers. One that fails gets one.
  public static let perEndpointMax = 2
  /// How long nothing is sent after an attempt that could not be written down.
  public static let heldMilliseconds: Int64 = 60_000
  /// How long the log and the events are kept.
  public static let keptMilliseconds: Int64 = 90 * 86_400_000

  private enum Lane: CaseIterable {
    case answering, failing

    var perEndpointMax: Int { self == .answering ? WebhookSender.perEndpointMax : 1 }
  }

  private let database: Database
  private let clock: Clock
  private let random: RandomSource
  private let vault: WebhookVault
  private let rules: WebhookRules
  private let userEvents: UserEvents
  private let post: Post
  private let sendsMail: Bool
  private let log: @Sendable (String) -> Void
  private let running = Mutex(Running())
  private let aboveBound = Mutex<Int64>(0)

  /// Owners' notices since the start that went by no e-mail, for the bound of them by the hour.
  var noticesAboveBound: Int64 { aboveBound.withLock { $0 } }

  /// The attempts under way.
  private struct Running {
    var lanes: [DueDelivery: Lane] = [:]
    var begun: [DueDelivery: Timestamp] = [:]
    /// Nothing is sent before: what was sent last could not be written down.
    var heldUntil = Timestamp(milliseconds: 0)

    func hasRoom(_ lane: Lane, at now: Timestamp) -> Bool {
      let own = lanes.filter { $0.value == lane }.keys
      if lane == .failing { return own.count < WebhookSender.runningMax }
      let late = own.count { now - (begun[$0] ?? now) > WebhookSender.promptMilliseconds }
      return own.count - min(late, WebhookSender.lateMax) < WebhookSender.runningMax
    }
  }

  init(
    database: Database, clock: Clock, random: RandomSource, vault: WebhookVault,
    rules: WebhookRules, userEvents: UserEvents, post: Post?, sendsMail: Bool,
    log: @escaping @Sendable (String) -> Void
  ) {
    self.database = database
    self.clock = clock
    self.random = random
    self.vault = vault
    self.rules = rules
    self.userEvents = userEvents
    self.post = post ?? { await WebhookPost.send($0, addresses: rules.addresses) }
    self.sendsMail = sendsMail
    self.log = log
  }

  /// Works until it is cancelled; attempts that run then are given up and made again by the next start.
  public func run() async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        var isBusy = false
        do {
          isBusy = try await pump()
          for lane in Lane.allCases {
            for delivery in try await takeDue(in: lane) {
              group.addTask { await self.work(on: delivery, in: lane) }
            }
          }
        } catch is CancellationError {
          break
        } catch {
          log("webhooks: \(error)")
          try? await Task.sleep(for: .seconds(1))  // a cancelled wait only ends it early
        }
        try? await Task.sleep(for: .milliseconds(isBusy ? 5 : 200))  // as above
      }
      group.cancelAll()
    }
  }

  /// Routes the events that wait and tells the streams of users.
  ///
  /// - Returns: Whether more may wait.
  @discardableResult
  public func pump() async throws -> Bool {
    let waits = try await database.read {
      try OutboxStore.newest($0) > OutboxStore.routed($0)
    }
    var isBusy = false
    if waits, database.isWritable {
      let now = clock.now
      let events = try await database.write { [sendsMail, random] connection in
        try OutboxStore.route(sendsMail: sendsMail, at: now, random: random, on: connection)
      }
      userEvents.publish(events)
      tell(events)
      isBusy = events.count == OutboxStore.batchCount
    }
    try await userEvents.publishBalances()
    return isBusy
  }

  /// Says in the log which notices were routed, never to whom, and counts those that go by no e-mail.
  private func tell(_ events: [RoutedEvent]) {
    for routed in events where routed.event.type.hasPrefix(OwnerNotice.prefix) {
      let most = OwnerNotice.mailsPerHourMax
      let end = routed.isAboveBound ? ", by no e-mail: its reader had \(most) in an hour" : ""
      log("\(routed.event.type): event \(routed.event.eventID)\(end)")
    }
    let count = events.count { $0.isAboveBound }
    aboveBound.withLock { $0 += Int64(count) }
  }

  /// Makes every attempt that is due now, within the bounds, and waits for its end.
  ///
  /// - Returns: How many were made.
  @discardableResult
  public func deliverDue() async throws -> Int {
    var due: [DueDelivery] = []
    for lane in Lane.allCases { due += try await takeDue(in: lane) }
    await withDiscardingTaskGroup { group in
      for delivery in due { group.addTask { await self.attempt(delivery) } }
    }
    return due.count
  }

  /// Deletes what is past its time, in short transactions. Called now and then.
  public func prune() async throws {
    let now = clock.now
    let limit = now + -WebhookSender.keptMilliseconds
    try await database.write { try WebhookStore.forgetPrevious(at: now, on: $0) }
    while try await database.write({ try WebhookStore.prune(before: limit, on: $0) }) {
      try Task.checkCancellation()
    }
    while try await database.write({ try OutboxStore.prune(before: limit, on: $0) }) {
      try Task.checkCancellation()
    }
  }

  /// Makes an attempt, then whatever has waited longest meanwhile, as long as there is anything.
  private func work(on first: DueDelivery, in lane: Lane) async {
    var next: DueDelivery? = first
    while let delivery = next, !Task.isCancelled {
      await attempt(delivery)
      // Where the record cannot be read, the loop finds out and says so.
      next = (try? await takeDue(in: lane, limit: 1))?.first
    }
    // What was taken for a task that ends is nobody's.
    if let next { release(next) }
  }

  /// Deliveries to attempt now, marked as running.
  private func takeDue(in lane: Lane, limit: Int = WebhookSender.runningMax) async throws
    -> [DueDelivery]
  {
    let now = clock.now
    let hasRoom = running.withLock { $0.heldUntil <= now && $0.hasRoom(lane, at: now) }
    // What cannot be written down would be sent again and again.
    guard hasRoom, database.isWritable else { return [] }
    let candidates = try await database.read { connection in
      // What runs already is among them, so twice as many are looked at.
      try WebhookStore.due(
        isFailing: lane == .failing, perEndpoint: 2 * WebhookSender.perEndpointMax, at: now,
        on: connection)
    }
    return claim(candidates, lane, limit, at: now)
  }

  private func claim(
    _ candidates: [DueDelivery], _ lane: Lane, _ limit: Int, at now: Timestamp
  ) -> [DueDelivery] {
    running.withLock { running in
      var taken: [DueDelivery] = []
      for delivery in candidates where running.lanes[delivery] == nil {
        guard taken.count < limit, running.hasRoom(lane, at: now) else { break }
        let own = running.lanes.keys.count { $0.endpointID == delivery.endpointID }
        guard own < lane.perEndpointMax else { continue }
        running.lanes[delivery] = lane
        running.begun[delivery] = now
        taken.append(delivery)
      }
      return taken
    }
  }

  private func release(_ delivery: DueDelivery) {
    running.withLock { running in
      running.lanes[delivery] = nil
      running.begun[delivery] = nil
    }
  }

  private func attempt(_ delivery: DueDelivery) async {
    defer { release(delivery) }
    do {
      let start = clock.now
      let load = try await database.read {
        try WebhookStore.load(delivery, at: start, on: $0)
      }
      guard let load else { return }
      let answer = await send(load, at: start)
      // What was cut off by our own end says nothing about the receiver.
      if Task.isCancelled { return }
      let end = clock.now
      let finished = FinishedAttempt(
        delivery: delivery, at: start, duration: max(0, end - start), outcome: answer.outcome,
        answer: AnswerExcerpt.text(answer.body))
      let disabled = try await database.write { [random] connection in
        try WebhookStore.record(finished, at: end, random: random, on: connection)
      }
      if let disabled {
        log("webhook \(delivery.endpointID.text) is disabled: \(disabled.rawValue)")
      }
    } catch {
      // Not written down, so still due: the receiver must not get it again and again for that.
      log("webhook delivery \(delivery.id.text), sending rests for a minute: \(error)")
      let until = clock.now + WebhookSender.heldMilliseconds
      running.withLock { $0.heldUntil = until }
    }
  }

  private func send(_ load: DeliveryLoad, at now: Timestamp) async -> WebhookAnswer {
    let endpoint = load.endpoint
    // The rules may have changed since the endpoint was made.
    guard WebhookTarget.fault(in: endpoint.url, under: rules) == nil else {
      return WebhookAnswer(.failed(.addressRefused))
    }
    var secrets = [vault.open(endpoint.sealed, of: endpoint.id, endpoint.algorithm)]
    if let previous = endpoint.previousSealed, let until = endpoint.previousUntil, now < until {
      secrets.append(vault.open(previous, of: endpoint.id, endpoint.algorithm))
    }
    let known = secrets.compactMap { $0 }
    guard !known.isEmpty else {
      log("webhook \(endpoint.id.text): its secret cannot be opened")
      return WebhookAnswer(.failed(.secretUnreadable))
    }
    var headers = WebhookSecret.headers(
      id: load.eventID, seconds: now.seconds, body: load.body, secrets: known)
    headers.append((name: "Content-Type", value: "application/json"))
    headers.append((name: "User-Agent", value: "Waypost-Webhooks/1"))
    return await post(WebhookRequest(url: endpoint.url, headers: headers, body: load.body))
  }
}
