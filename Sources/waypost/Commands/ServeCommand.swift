import API
import Authorization
import Catalog
import Chat
import Cryptography
import Dispatch
import Embedding
import Foundation
import HTTPServer
import Identity
import Ledger
import Payments
import Primitives
import SQLite
import Search
import Sessions
import Delivery

/// `waypost serve`: builds every live object, answers until SIGTERM or SIGINT, drains.
enum ServeCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let path = arguments.text("data") ?? "./data"
    let folder = try DataFolder(path, journal: try journal(arguments))
    let host = arguments.text("host") ?? "127.0.0.1"
    // Armed before anybody can know that the server is there.
    let stop = Signals.armed()
    let log = Log(isJSON: arguments.isSet("json"))
    log.words(aboutSQLite(folder.journal))
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { log.words(hint) }
    // The port is known only once the server listens, and tokens name it: so the router comes late.
    let gate = RouterGate(publicURL: arguments.text("public-url"))
    let server: Server
    do {
      server = try Server(
        host: host, port: UInt16(arguments.integer("port")),
        refusal: { gate.refuse($0, status: $1, code: $2) },
        admission: { gate.admit($0, announced: $1) }, handler: { await gate.handle($0) })
    } catch let error as ServerError {
      throw Refusal(.storageUnavailable, "\(error.address): \(error.reason)")
    }
    let address = "http://\(host.contains(":") ? "[\(host)]" : host):\(server.port)"
    let publicURL = try publicAddress(arguments, fallback: address, host: host)
    if publicURL.hasPrefix("https://"), (arguments.text("trusted-proxies") ?? "").isEmpty {
      log.words(
        "name the proxy's address in --trusted-proxies: until then all callers share its allowances"
      )
    }
    let services = try await LiveServices.build(
      arguments, folder, encoder, publicURL, log: { log.words($0) })
    gate.open(
      Router(services: services, log: { log.entry($0) }, microseconds: DataFolder.microseconds))
    let opening = opening(services, log)
    try await announce(address, path, after: opening, isJSON: log.isJSON)
    let work = [opening] + background(services, folder, opening, log)
    for await _ in stop { break }
    log.words("stopping: running requests get ten seconds")
    unlink(path + "/server.json")
    // They would wait for events until the end of the grace.
    services.webhooks.userEvents.closeAll()
    let isQuiet = await server.stop()
    for task in work { task.cancel() }
    let isDone = await within(seconds: 5) {
      await services.chat.drain()
      for task in work { _ = await task.result }
    }
    // What is left is work on the index, which the next start takes up again; the record is whole at any time.
    let isWhole = isQuiet && isDone
    if !isWhole { log.words("some work did not end in time and is given up") }
    if services.record.isWritable { await tend(services, seconds: 0, log) }
    try await folder.record.finish()
    // Not by exit(), whose handlers would take libraries away from threads that still use them.
    if !isWhole { _exit(Exit.done.rawValue) }
    return .done
  }

  /// The journal that `--journal` names; nil keeps what the record has.
  private static func journal(_ arguments: Arguments) throws -> Journal? {
    guard arguments.isSet("journal") else { return nil }
    return Journal(
      rawValue: try arguments.choice("journal", of: Journal.allCases.map(\.rawValue)))
  }

  /// The version that writes the record, and a warning where it is affected (specification core, D5).
  private static func aboutSQLite(_ journal: Journal) -> String {
    let words = "SQLite \(Connection.version), journal \(journal.rawValue)"
    guard Connection.hasWALResetBug, journal == .wal else { return words }
    return words
      + "; warning: this version has the WAL-reset bug (fixed in 3.51.3), which one writing process avoids: never write to record.db with another program"
  }

  /// Whether the work ended in time; if not, it goes on unowned until the process ends.
  private static func within(
    seconds: Int, _ work: @escaping @Sendable () async -> Void
  ) async -> Bool {
    let isDone = Locked(false)
    Task {
      await work()
      isDone.set(true)
    }
    for _ in 0..<(seconds * 50) where !isDone.value {
      try? await Task.sleep(for: .milliseconds(20))  // a cancelled wait only ends it early
    }
    return isDone.value
  }

  private static func publicAddress(
    _ arguments: Arguments, fallback: String, host: String
  ) throws -> String {
    let given = arguments.text("public-url").map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    let url = given ?? fallback
    // It is compared byte by byte, as the issuer of tokens and the origin of forms.
    guard let address = WebAddress(url), address.rest.isEmpty else {
      throw Refusal(
        .validationFailed,
        "--public-url must be an address in lower case without a path, such as https://waypost.example; it is \(url)."
      )
    }
    let isLoopback = address.isLoopback
    guard url.hasPrefix("https://") || isLoopback else {
      throw Refusal(
        .validationFailed,
        "Any address but loopback needs https in --public-url; it is \(url). Put a TLS proxy in front, name its address there, and the proxy's own in --trusted-proxies."
      )
    }
    return url
  }

  /// Verifies the ledger and takes writes over a sound one; what fails for another reason is tried again.
  private static func opening(_ services: Services, _ log: Log) -> Task<Void, Never> {
    Task {
      while !Task.isCancelled, services.ledger.state == .verifying {
        do {
          try await services.ledger.open()
        } catch {
          guard services.ledger.state == .verifying, !(error is CancellationError) else { return }
          log.words("writes are still refused, the next try is in five seconds: \(error)")
          try? await Task.sleep(for: .seconds(5))  // a cancelled wait only ends it early
        }
      }
    }
  }

  /// Work beside the requests, owned here and cancelled at the end.
  private static func background(
    _ services: Services, _ folder: DataFolder, _ opening: Task<Void, Never>, _ log: Log
  ) -> [Task<Void, Never>] {
    let indexing = Task {
      repeat {
        await attempt("index", log) { try await services.indexer.tend() }
        services.suggester.prepare(services.indexer.index.snapshot)
      } while (try? await Task.sleep(for: .seconds(1))) != nil
    }
    let housekeeping = Task {
      var count = 0
      while (try? await Task.sleep(for: .seconds(1))) != nil {
        count += 1
        // All of it writes, or counts on it.
        guard services.record.isWritable else { continue }
        // One after the other, each by itself: what fails must not stop the rest.
        await attempt("sweep", log) { try await services.sessions.sweep() }
        if count % 10 == 0 {
          await attempt("checkpoint", log) { try await folder.record.checkpoint() }
        }
        await tend(services, seconds: count, log)
        if count % 3_600 == 1 { await prune(services, log) }
      }
    }
    let auditing = Task {
      await opening.value
      await audit(services, log)
    }
    let marking = Task {
      await opening.value
      await mark(services, log)
    }
    let webhooks = Task { await services.webhooks.sender.run() }
    let mailing = Task { await services.accounts.mail?.run() ?? () }
    let notices = Task { await services.webhooks.notices?.run() ?? () }
    let auditLog = Task {
      await keepAudit(services, log, isWhole: false)
      await keepAudit(services, log, isWhole: true)
      while (try? await Task.sleep(for: .seconds(AuditKeeper.everySeconds))) != nil {
        await keepAudit(services, log, isWhole: false)
      }
    }
    return [
      indexing, housekeeping, auditing, marking, auditLog, webhooks, mailing, notices,
    ]
  }

  /// Verifies the audit log; where it ends is said in the log too, outside of what can be cut along with it.
  private static func keepAudit(_ services: Services, _ log: Log, isWhole: Bool) async {
    await attempt("audit log", log) {
      let report = try await isWhole ? services.audit.audit() : services.audit.tend()
      for fault in report.faults { log.words("THE AUDIT LOG IS NOT SOUND: " + fault) }
      guard let head = services.audit.newHead() else { return }
      log.words(
        "the audit log is sound up to row \(head.sequence), \(BytesText.hex(head.rowHash))")
    }
  }

  /// Verifies the whole ledger once, and then what is new; every session once a day, for they have no checkpoint to
  /// start from. A fault of the ledger ends writing; a session's is its own, and only told.
  private static func audit(_ services: Services, _ log: Log) async {
    let roundsPerDay = 86_400 / LedgerAuditor.everySeconds
    var count = 0
    var isWholeVerified = false
    repeat {
      // What was found unsound waits for an operator, whose order verifies the whole.
      if services.ledger.state == .open {
        let isWhole = !isWholeVerified
        await attempt("ledger", log) {
          if isWhole {
            try await services.ledger.audit()
            isWholeVerified = true
          } else {
            try await services.ledger.tend()
          }
        }
        if count % roundsPerDay == 0 {
          await attempt("sessions", log) {
            for fault in try await SessionVerifier.faults(in: services.record) {
              log.words("A SESSION IS NOT SOUND: " + fault)
            }
          }
        }
      }
      count += 1
    } while (try? await Task.sleep(for: .seconds(LedgerAuditor.everySeconds))) != nil
  }

  /// Writes the marks by which the past of accounts is read. A long ledger without them is gone through at an easy
  /// pace: who is there first are the callers.
  private static func mark(_ services: Services, _ log: Log) async {
    let marker = LedgerMarker(database: services.record)
    var isBehind = false
    repeat {
      isBehind = false
      guard services.ledger.state == .open, services.record.isWritable else { continue }
      await attempt("marks of the ledger", log) { isBehind = try await !marker.tend() }
    } while (try? await Task.sleep(
      for: isBehind ? .milliseconds(100) : .seconds(LedgerMarker.everySeconds))) != nil
  }

  /// What is gathered in memory and written now and then, and keys that are due.
  private static func tend(_ services: Services, seconds: Int, _ log: Log) async {
    if seconds % 10 == 0 {
      await attempt("uses of keys", log) {
        try await services.accounts.apiKeyStore.flush(to: services.record)
      }
    }
    guard seconds % 60 == 0 else { return }
    await attempt("failed sign-ins", log) { try await services.accounts.noteFailures() }
    await attempt("signing keys", log) {
      let now = services.clock.now
      for algorithm in services.keys.due(at: now) {
        _ = try await AuditLog.around(
          .init(
            "signing_key.rotate", done: "signing_key.rotated",
            on: "signing_key:" + algorithm.rawValue), in: services.record, clock: services.clock,
          by: .system, outcome: { ("signing_key:" + $0.id, algorithm.rawValue) }
        ) { try services.keys.rotate(algorithm, at: now) }
      }
      try services.keys.forget(at: now)
    }
    // At the end: so that the head is the last row.
    if seconds == 0 { await keepAudit(services, log, isWhole: false) }
  }

  private static func prune(_ services: Services, _ log: Log) async {
    await attempt("conversations", log) { try await services.chat.prune() }
    await attempt("proposals", log) { try await services.sessions.prune() }
    await attempt("purchases", log) { try await services.payments.prune() }
    await attempt("feedback", log) { _ = try await services.feedback.prune() }
    await attempt("webhooks", log) { try await services.webhooks.sender.prune() }
    await attempt("grants", log) { try await services.authorization.prune() }
    await attempt("logins", log) { try await services.refreshTokens.prune() }
    await attempt("codes", log) { try await services.accounts.pruneMailTokens() }
    await attempt("fresh sign-ins", log) { try await services.accounts.pruneFreshSignIns() }
    await attempt("answers", log) {
      while try await services.record.write({
        try services.idempotency.prune(at: services.clock.now, on: $0)
      }) {}
    }
    // What was deleted stands in the log's old pages until it is cut.
    await attempt("log", log) { try await services.record.checkpoint(truncate: true) }
  }

  private static func attempt(
    _ name: String, _ log: Log, _ work: () async throws -> Void
  ) async {
    do {
      try await work()
    } catch is CancellationError {
      // The server ends; the next start goes on where this stopped.
    } catch {
      log.words("housekeeping, \(name): \(error)")
    }
  }

  /// Says where the server is. Reads are answered before; most ledgers are verified in a moment, so that whoever waits for
  /// this can write too.
  private static func announce(
    _ address: String, _ path: String, after opening: Task<Void, Never>, isJSON: Bool
  ) async throws {
    _ = await within(seconds: 2) { await opening.value }
    try writeAddress(address, to: path)
    Terminal.data(
      isJSON
        ? JSON.object(["address": .string(address)]).text : "waypost is serving on \(address)")
  }

  private static func writeAddress(_ address: String, to path: String) throws {
    let text = JSON.object(["address": .string(address), "pid": .int(Int64(getpid()))]).text
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/server.json"), options: .atomic)
  }
}

/// Holds requests back with 503 until the router is there.
private final class RouterGate: Sendable {
  private let router = Locked<Router?>(nil)
  private let isSecure: Bool

  init(publicURL: String?) { isSecure = publicURL?.hasPrefix("https://") ?? false }

  func open(_ value: Router) { router.set(value) }

  func admit(_ head: Request, announced: Int?) -> Admission {
    router.value?.admit(head, announced: announced)
      ?? .body(byteCountMax: Route.bodyByteCountMax)
  }

  func refuse(_ head: Request?, status: Int, code: String) -> Response {
    guard let router = router.value else {
      let requestID = BytesText.hex(RandomSource.system.bytes(8))
      var answer = Problem.front(status: status, code: code, requestID: requestID)
      answer.addSafetyHeaders(isSecure: isSecure)
      return answer
    }
    return router.refuse(head, status: status, code: code)
  }

  func handle(_ request: Request) async -> Response {
    guard let router = router.value else {
      let refusal = Refusal(.shuttingDown, "The server is starting.", retryAfterSeconds: 1)
      var answer = Problem.response(refusal, requestID: "start", path: request.path)
      answer.addSafetyHeaders(isSecure: isSecure)
      return answer
    }
    return await router.handle(request)
  }
}

/// Log lines on standard error: JSON objects, or words for people, who are told of failures alone.
struct Log: Sendable {
  let isJSON: Bool

  func entry(_ object: JSONObject) {
    if isJSON { return Terminal.words(JSON.object(object).text) }
    let status = object["status"]?.int ?? 0
    // A version that is not spoken (505) is the caller's mistake, and what scanners ask for all day.
    guard object["error"] != nil || (status >= 500 && status != 505) else { return }
    let what = object["error"]?.string ?? "answered \(status)"
    let place = [object["route"]?.string, object["requestId"]?.string].compactMap { $0 }
    words(Terminal.safe(place.joined(separator: " ") + ": " + what))
  }

  func words(_ text: String) {
    Terminal.words(isJSON ? JSON.object(["message": .string(text)]).text : "waypost: " + text)
  }
}

/// SIGTERM and SIGINT.
private enum Signals {
  /// Yields when the process is asked to end.
  static func armed() -> AsyncStream<Void> {
    signal(SIGTERM, SIG_IGN)
    signal(SIGINT, SIG_IGN)
    // Of their own: a signal must come through also where the global queues are busy.
    let queue = DispatchQueue(label: "waypost.signals")
    return AsyncStream<Void> { continuation in
      let sources = [SIGTERM, SIGINT].map { number in
        let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
        source.setEventHandler { @Sendable in continuation.yield(()) }
        source.resume()
        return SignalSource(source: source)
      }
      continuation.onTermination = { _ in for source in sources { source.source.cancel() } }
    }
  }

  /// A dispatch source that the stream's end cancels.
  private struct SignalSource: @unchecked Sendable {
    // Safe: made and resumed before it is shared, afterwards only cancelled, which is thread-safe.
    let source: any DispatchSourceSignal
  }
}
