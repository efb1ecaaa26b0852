import API
import Catalog
import Chat
import Cryptography
import Embedding
import Identity
import Primitives
import SQLite
import Search
import Sessions

/// Builds every live object of a data folder: the server's, and those of a chat in the terminal.
enum LiveServices {
  static func build(
    _ arguments: Arguments, _ folder: DataFolder, _ encoder: Encoder?, _ publicURL: String,
    log: @escaping @Sendable (String) -> Void = { _ in }
  ) async throws -> Services {
    let clock = DataFolder.clock
    let random = RandomSource.system
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: random)
    // One by default: embedding must leave searches a processor.
    let threadCount = arguments.isSet("threads") ? arguments.integer("threads") : 1
    let indexer = try folder.indexer(encoder: encoder, threadCount: threadCount)
    try await indexer.load()
    warn(of: indexer)
    let engine = SearchEngine(
      encoder: .init(encoder: encoder), microseconds: DataFolder.microseconds)
    let idempotency = Idempotency(
      sealer: Sealer(key: keys.derived(for: "idempotency")), random: random)
    var policy = TrialPolicy()
    policy.perDayMax = Int64(arguments.integer("trials-per-day"))
    policy.perProviderDayMax = Int64(arguments.integer("trials-per-provider"))
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
      agent: agent(arguments, clock, random), sessions: sessions, log: log)
    try await chat.recover()
    let feedback = FeedbackDesk(
      database: folder.record, clock: clock, random: random, key: keys.derived(for: "feedback"),
      settings: try learning(arguments))
    var configuration = Services.Configuration(publicURL: publicURL)
    configuration.isDemo = arguments.isSet("demo")
    configuration.corsOrigins = (arguments.text("cors-origins") ?? "").split(separator: ",").map(
      String.init)
    limit(&configuration, by: arguments)
    configuration.anonymousBytesPerDay = arguments.integer("anonymous-mb") * 1_048_576
    configuration.trustedProxies = try TrustedProxies(arguments.text("trusted-proxies") ?? "")
    configuration.version = Main.version
    return Services(
      record: folder.record, clock: clock, random: random, keys: keys,
      accounts: Accounts(
        database: folder.record, clock: clock, random: random, keys: keys, issuer: publicURL),
      refreshTokens: RefreshTokens(
        database: folder.record, clock: clock, random: random, key: keys.derived(for: "refresh")),
      idempotency: idempotency, indexer: indexer, engine: engine, sessions: sessions, chat: chat,
      feedback: feedback, tuner: folder.tuner(indexer, gate: arguments.text("gate")),
      configuration: configuration)
  }

  /// The limits; those that are not set follow the two that are.
  private static func limit(_ configuration: inout Services.Configuration, by arguments: Arguments) {
    func setting(_ flag: String, unlessSet fallback: Int) -> Int {
      arguments.isSet(flag) ? arguments.integer(flag) : fallback
    }
    let perMinute = arguments.integer("rate-limit")
    let logins = arguments.integer("login-limit")
    configuration.requestsPerMinute = perMinute
    configuration.loginsPerMinute = logins
    configuration.registrationsPerMinute = setting("register-limit", unlessSet: logins)
    configuration.searchesPerSecond = setting("search-limit", unlessSet: perMinute > 0 ? 50 : 0)
    configuration.chatsPerMinute = setting(
      "chat-limit", unlessSet: perMinute > 0 ? max(1, perMinute / 5) : 0)
  }

  private static func warn(of indexer: Indexer) {
    guard let words = indexer.index.snapshot.tuningFault else { return }
    Terminal.words("waypost: the shipped ranking is in use. \(words)")
  }

  private static func learning(_ arguments: Arguments) throws -> FeedbackDesk.Settings {
    var settings = FeedbackDesk.Settings()
    settings.isOn = try arguments.choice("learn", of: ["on", "off"]) == "on"
    settings.retentionDays = arguments.integer("feedback-days")
    return settings
  }

  private static func agent(
    _ arguments: Arguments, _ clock: Clock, _ random: RandomSource
  ) -> Agent? {
    guard let url = arguments.text("llm-url"), let model = arguments.text("llm-model") else {
      return nil
    }
    return Agent(
      endpoint: ModelEndpoint(url: url, model: model, key: arguments.text("llm-key")), clock: clock,
      random: random)
  }
}
