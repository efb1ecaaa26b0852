import API
import Catalog
import Chat
import Cryptography
import Dispatch
import Embedding
import Foundation
import HTTPServer
import Identity
import Primitives
import SQLite
import Search
import Sessions

/// `waypost serve`: builds every live object, answers until SIGTERM or SIGINT, drains.
enum ServeCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    let path = arguments.text("data") ?? "./data"
    let folder = try DataFolder(path)
    let host = arguments.text("host") ?? "127.0.0.1"
    let log = Log(isJSON: arguments.isSet("json"))
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { log.words(hint) }
    // The port is known only once the server listens, and tokens name it: so the router comes late.
    let gate = RouterGate()
    let server: Server
    do {
      server = try Server(
        host: host, port: UInt16(arguments.integer("port")), refusal: Problem.head,
        handler: { await gate.handle($0) })
    } catch let error as ServerError {
      throw Refusal(.storageUnavailable, "\(error.address): \(error.reason)")
    }
    let address = "http://\(host.contains(":") ? "[\(host)]" : host):\(server.port)"
    let publicURL = try publicAddress(arguments, fallback: address, host: host)
    let services = try await build(arguments, folder, encoder, publicURL)
    gate.open(
      Router(services: services, log: { log.entry($0) }, microseconds: DataFolder.microseconds))
    try writeAddress(address, to: path)
    Terminal.data(
      arguments.isSet("json")
        ? JSON.object(["address": .string(address)]).text : "waypost is serving on \(address)")
    let work = background(services, folder, log)
    await Signals.stop()
    log.words("stopping: running requests get ten seconds")
    unlink(path + "/server.json")
    await server.stop()
    for task in work { task.cancel() }
    for task in work { _ = await task.result }
    try await folder.record.checkpoint(truncate: true)
    return .done
  }

  private static func publicAddress(
    _ arguments: Arguments, fallback: String, host: String
  ) throws -> String {
    let given = arguments.text("public-url").map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    let url = given ?? fallback
    let isLoopback = ["127.0.0.1", "localhost", "::1", "[::1]"].contains(where: {
      url.hasPrefix("http://" + $0 + ":") || url == "http://" + $0
    })
    guard url.hasPrefix("https://") || isLoopback else {
      throw Refusal(
        .validationFailed,
        "Any address but loopback needs https in --public-url; it is \(url). Put a TLS proxy in front and name its address.")
    }
    return url
  }

  private static func build(
    _ arguments: Arguments, _ folder: DataFolder, _ encoder: Encoder?, _ publicURL: String
  ) async throws -> Services {
    let clock = DataFolder.clock
    let random = RandomSource.system
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: random)
    let indexer = try folder.indexer(encoder: encoder, threadCount: 1)
    try await indexer.load()
    let engine = SearchEngine(
      encoder: .init(encoder: encoder), microseconds: DataFolder.microseconds)
    let idempotency = Idempotency(sealer: Sealer(key: keys.derived(for: "idempotency")), random: random)
    var policy = TrialPolicy()
    policy.perDayMax = Int64(arguments.integer("trials-per-day"))
    policy.repeatsMax = Int64(arguments.integer("trial-repeats"))
    if arguments.isSet("demo") {
      policy.sandbox = Sandbox(publicURL: publicURL)
      try await folder.record.write { connection in
        try CatalogStore.putProvider(
          id: Sandbox.providerID, name: "Waypost sandbox", verified: true, at: clock.now,
          on: connection)
      }
    }
    let sessions = SessionDesk(
      database: folder.record, clock: clock, random: random, keys: keys, idempotency: idempotency,
      policy: policy, publicURL: publicURL)
    try await sessions.fundTrials(tokens: Int64(arguments.integer("trial-budget-tokens")))
    try await sessions.sweep()
    let chat = ChatDesk(
      database: folder.record, clock: clock, random: random, index: indexer.index,
      guide: Guide(engine: engine, hasSandbox: policy.sandbox != nil),
      agent: agent(arguments, clock, random), sessions: sessions)
    try await chat.recover()
    var configuration = Services.Configuration(publicURL: publicURL)
    configuration.isDemo = arguments.isSet("demo")
    configuration.corsOrigins = (arguments.text("cors-origins") ?? "").split(separator: ",").map(String.init)
    configuration.requestsPerMinute = arguments.integer("rate-limit")
    configuration.loginsPerMinute = arguments.integer("login-limit")
    configuration.version = Main.version
    return Services(
      record: folder.record, clock: clock, random: random, keys: keys,
      accounts: Accounts(
        database: folder.record, clock: clock, random: random, keys: keys, issuer: publicURL),
      refreshTokens: RefreshTokens(
        database: folder.record, clock: clock, random: random, key: keys.derived(for: "refresh")),
      idempotency: idempotency, indexer: indexer, engine: engine, sessions: sessions, chat: chat,
      configuration: configuration)
  }

  private static func agent(
    _ arguments: Arguments, _ clock: Clock, _ random: RandomSource
  ) -> Agent? {
    guard let url = arguments.text("llm-url"), let model = arguments.text("llm-model") else { return nil }
    return Agent(
      endpoint: ModelEndpoint(url: url, model: model, key: arguments.text("llm-key")), clock: clock,
      random: random)
  }

  /// Work beside the requests, owned here and cancelled at the end.
  private static func background(
    _ services: Services, _ folder: DataFolder, _ log: Log
  ) -> [Task<Void, Never>] {
    let embedding = Task {
      do {
        try await services.indexer.embedMissing { _ in }
      } catch is CancellationError {
        // The server ends; the next start goes on where this stopped.
      } catch {
        log.words("embedding stopped: \(error)")
      }
    }
    let housekeeping = Task {
      var count = 0
      while (try? await Task.sleep(for: .seconds(1))) != nil {
        count += 1
        do {
          try await services.sessions.sweep()
          if count % 10 == 0 { try await folder.record.checkpoint() }
          if count % 3_600 == 1 {
            try await services.chat.prune()
            try await folder.record.write {
              try services.idempotency.prune(at: services.clock.now, on: $0)
            }
          }
        } catch {
          log.words("housekeeping: \(error)")
        }
      }
    }
    return [embedding, housekeeping]
  }

  private static func writeAddress(_ address: String, to path: String) throws {
    let text = JSON.object(["address": .string(address), "pid": .int(Int64(getpid()))]).text
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/server.json"), options: .atomic)
  }
}

/// Holds requests back with 503 until the router is there.
private final class RouterGate: Sendable {
  private let router = Locked<Router?>(nil)

  func open(_ value: Router) { router.set(value) }

  func handle(_ request: Request) async -> Response {
    guard let router = router.value else {
      let refusal = Refusal(.shuttingDown, "The server is starting.", retryAfterSeconds: 1)
      return Problem.response(refusal, requestID: "start", path: request.path)
    }
    return await router.handle(request)
  }
}

/// Log lines on standard error: JSON objects, or nothing but words for people.
struct Log: Sendable {
  let isJSON: Bool

  func entry(_ object: JSONObject) {
    if isJSON { Terminal.words(JSON.object(object).text) }
  }

  func words(_ text: String) {
    Terminal.words(isJSON ? JSON.object(["message": .string(text)]).text : "waypost: " + text)
  }
}

/// SIGTERM and SIGINT.
private enum Signals {
  /// Returns when the process is asked to end.
  static func stop() async {
    signal(SIGTERM, SIG_IGN)
    signal(SIGINT, SIG_IGN)
    let stream = AsyncStream<Void> { continuation in
      let sources = [SIGTERM, SIGINT].map { number in
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { @Sendable in continuation.yield(()) }
        source.resume()
        return SignalSource(source: source)
      }
      continuation.onTermination = { _ in for source in sources { source.source.cancel() } }
    }
    for await _ in stream { return }
  }

  /// A dispatch source that the stream's end cancels.
  private struct SignalSource: @unchecked Sendable {
    // Safe: made and resumed before it is shared, afterwards only cancelled, which is thread-safe.
    let source: any DispatchSourceSignal
  }
}
