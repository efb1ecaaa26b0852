import Cryptography
import Identity
import Primitives
import SQLite
import Synchronization
import Testing
import TestSupport

// 1. Of one key one request runs at a time; its repeats get its answer, however many they are.
// 2. A repeat is refused once the first has run for the patience, counted from the first's start, and at once where
//    the first waits for the network.
// 3. Where the first is answered nothing, whoever waits runs next: no repeat is lost and none runs beside another.
// 4. Keys know nothing of each other, and of all that run and wait there is a bound.

private typealias Answer = Idempotency.Answer

/// Opens once; who waits before goes on then.
private final class Gate: Sendable {
  private let stream: AsyncStream<Void>
  private let end: AsyncStream<Void>.Continuation

  init() { (stream, end) = AsyncStream.makeStream(of: Void.self) }

  func open() { end.finish() }

  func wait() async { for await _ in stream {} }
}

/// A clock that stands until it is set, and sleeps that end by cancellation or when they are told to.
private final class Watch: Sendable {
  private let state = Mutex((now: Int64(0), sleeps: [Int64]()))
  let isShort: Bool

  /// - Parameter isShort: Whether every sleep is over at once.
  init(isShort: Bool = false) { self.isShort = isShort }

  var sleeps: [Int64] { state.withLock { $0.sleeps } }
  func set(_ now: Int64) { state.withLock { $0.now = now } }

  /// Until so many have begun to wait.
  func until(sleeping count: Int) async throws {
    while sleeps.count < count { try await Task.sleep(for: .milliseconds(1)) }
  }

  func patience(_ milliseconds: Int64 = 2_000) -> KeysInFlight.Patience {
    KeysInFlight.Patience(
      milliseconds: milliseconds, now: { self.state.withLock { $0.now } },
      sleep: { time in
        self.state.withLock { $0.sleeps.append(time) }
        if !self.isShort { try await Task.sleep(for: .seconds(600)) }
      })
  }
}

/// How many were there at once.
private final class Crowd: Sendable {
  private let state = Mutex((now: 0, most: 0))

  var most: Int { state.withLock { $0.most } }

  func enter() {
    state.withLock {
      $0.now += 1
      $0.most = max($0.most, $0.now)
    }
  }

  func leave() { state.withLock { $0.now -= 1 } }
}

private func key(_ text: String = "one", body: JSON = ["a": 1]) throws -> Idempotency.Key {
  try Idempotency.Key(
    principal: .providerKey(providerID: "acme"), route: "POST /v1/things", key: text, body: body)
}

private let made = Answer(status: 201, body: Array("made".utf8))

@Suite("repeats of a key that still runs")
struct KeysInFlightTests {
  @Test("wait for the first and get its answer")
  func waits() async throws {
    let (watch, gate) = (Watch(), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let own = try key()
    async let first = keys.run(own) {
      await gate.wait()
      return made
    }
    while keys.keyCount == 0 { await Task.yield() }
    watch.set(500)
    async let second = keys.run(own) { Answer(status: 500, body: []) }
    try await watch.until(sleeping: 1)
    #expect(watch.sleeps == [1_500], "counted from the first's start")
    gate.open()
    #expect(try await first == made)
    let again = try await second
    #expect(again.isReplayed && again.status == 201 && again.body == made.body)
    #expect(keys.keyCount == 0)
  }

  @Test("are refused when the time is over, with the first unharmed")
  func timesOut() async throws {
    let (watch, gate) = (Watch(isShort: true), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let own = try key()
    async let first = keys.run(own) {
      await gate.wait()
      return made
    }
    while keys.keyCount == 0 { await Task.yield() }
    let refused = await refusal { try await keys.run(own) { made } }
    #expect(refused?.code == .idempotencyInFlight && refused?.retryAfterSeconds == 1)
    gate.open()
    #expect(try await first == made)
    #expect(try await keys.run(own) { made } == made, "nobody's turn is left over")
  }

  @Test("are refused at once where the first has run that long", arguments: [2_000, 9_000])
  func late(after age: Int64) async throws {
    let (watch, gate) = (Watch(), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let own = try key()
    async let first = keys.run(own) {
      await gate.wait()
      return made
    }
    while keys.keyCount == 0 { await Task.yield() }
    watch.set(age)
    let refused = await refusal { try await keys.run(own) { made } }
    #expect(refused?.code == .idempotencyInFlight)
    #expect(watch.sleeps == [])
    gate.open()
    _ = try await first
  }

  @Test("with another body are told so")
  func otherBody() async throws {
    let (watch, gate) = (Watch(), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let (own, other) = (try key(), try key(body: ["a": 2]))
    async let first = keys.run(own) {
      await gate.wait()
      return made
    }
    while keys.keyCount == 0 { await Task.yield() }
    async let second = refusal { try await keys.run(other) { made } }
    try await watch.until(sleeping: 1)
    gate.open()
    _ = try await first
    #expect(await second?.code == .idempotencyConflict)
  }

  @Test("run one by one where the first is refused")
  func handsOn() async throws {
    let (watch, gate) = (Watch(), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let own = try key()
    let crowd = Crowd()
    async let first = refusal {
      try await keys.run(own) {
        await gate.wait()
        throw Refusal(.validationFailed, "no")
      }
    }
    while keys.keyCount == 0 { await Task.yield() }
    let ends = try await withThrowingTaskGroup(of: ProblemCode?.self) { group in
      for _ in 0..<50 {
        group.addTask {
          await refusal {
            try await keys.run(own) {
              crowd.enter()
              await Task.yield()
              crowd.leave()
              throw Refusal(.validationFailed, "no")
            }
          }?.code
        }
      }
      try await watch.until(sleeping: 50)
      gate.open()
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(await first?.code == .validationFailed)
    #expect(ends == Array(repeating: ProblemCode.validationFailed, count: 50))
    #expect(crowd.most == 1)
    #expect(keys.keyCount == 0)
  }

  @Test("that are given up take nobody's turn")
  func cancelled() async throws {
    let (watch, gate) = (Watch(), Gate())
    let keys = KeysInFlight(patience: watch.patience())
    let own = try key()
    async let first = refusal {
      try await keys.run(own) {
        await gate.wait()
        throw Refusal(.validationFailed, "no")
      }
    }
    while keys.keyCount == 0 { await Task.yield() }
    let second = Task { await refusal { try await keys.run(own) { made } }?.code }
    try await watch.until(sleeping: 1)
    second.cancel()
    #expect(await second.value == .idempotencyInFlight)
    gate.open()
    _ = await first
    #expect(keys.keyCount == 0)
  }

  @Test("are bounded with everything else that runs, and other keys run beside")
  func bound() async throws {
    let gate = Gate()
    let keys = KeysInFlight(patience: Watch().patience(), requestCountMax: 2)
    let (one, two, three) = (try key("one"), try key("two"), try key("three"))
    async let first = keys.run(one) {
      await gate.wait()
      return made
    }
    while keys.keyCount == 0 { await Task.yield() }
    #expect(try await keys.run(two) { made } == made)
    let fourth = Gate()
    async let second = keys.run(two) {
      await fourth.wait()
      return made
    }
    while keys.keyCount < 2 { await Task.yield() }
    let refused = await refusal { try await keys.run(three) { made } }
    #expect(refused?.code == .idempotencyInFlight)
    fourth.open()
    gate.open()
    _ = try await (first, second)
    #expect(try await keys.run(three) { made } == made)
  }
}

@Suite("a keyed answer")
struct KeyedAnswerTests {
  private let place: Place

  init() throws { place = try Place() }

  private func idempotency(_ patience: KeysInFlight.Patience = .init()) -> Idempotency {
    Idempotency(
      sealer: Sealer(key: [UInt8](repeating: 5, count: 32)), random: place.random,
      patience: patience)
  }

  /// Adds a provider once for a key; where it was added before there is no second answer.
  private func add(
    _ id: String, _ key: Idempotency.Key, _ idempotency: Idempotency
  ) async throws -> Answer {
    let now = place.time.now
    return try await place.database.write { connection in
      try idempotency.once(
        key, at: now, on: connection, refused: { Answer(status: $0.code.status, body: []) }
      ) {
        try connection.addProvider(id)
        return Answer(status: 201, body: Array("made \(id)".utf8))
      }
    }
  }

  @Test("of a thousand at once comes from one effect")
  func thousand() async throws {
    let idempotency = idempotency(.init(milliseconds: 60_000))
    let own = try key()
    let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
      for number in 0..<1_000 {
        group.addTask {
          try await idempotency.answer(own, from: self.place.database) {
            try await self.add("p\(number)", own, idempotency)
          }
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(answers.map(\.body)).count == 1)
    #expect(answers.count { !$0.isReplayed } == 1)
    #expect(try await place.providerCount() == 1)
  }

  @Test("is given before the body is looked at, and so is another body's conflict")
  func order() async throws {
    let idempotency = idempotency()
    let (own, other) = (try key(), try key(body: ["a": 2]))
    let first = try await idempotency.answer(own, from: place.database) {
      try await add("one", own, idempotency)
    }
    let again = try await idempotency.answer(own, from: place.database) {
      throw Refusal(.validationFailed, "the rule has changed")
    }
    #expect(again.isReplayed && again.body == first.body)
    let conflict = await refusal {
      try await idempotency.answer(other, from: self.place.database) {
        throw Refusal(.validationFailed, "no")
      }
    }
    #expect(conflict?.code == .idempotencyConflict)
  }

  @Test("that waits for the network keeps nobody waiting")
  func long() async throws {
    let (watch, gate) = (Watch(), Gate())
    let idempotency = idempotency(watch.patience())
    let own = try key()
    let isOut = Gate()
    async let first = idempotency.answer(own, from: place.database, isLong: true) {
      isOut.open()
      await gate.wait()
      return try await self.add("one", own, idempotency)
    }
    await isOut.wait()
    let refused = await refusal {
      try await idempotency.answer(own, from: self.place.database, isLong: true) { made }
    }
    #expect(refused?.code == .idempotencyInFlight && watch.sleeps == [])
    gate.open()
    let answer = try await first
    let again = try await idempotency.answer(own, from: place.database, isLong: true) { made }
    #expect(again.isReplayed && again.body == answer.body)
  }
}
