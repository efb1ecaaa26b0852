import API
import Authorization
import Catalog
import Chat
import Cryptography
import Embedding
import Identity
import Ledger
import Payments
import Primitives
import SQLite
import Search
import Sessions
import Delivery

/// Builds every live object of a data folder: the server's, and those of a chat in the terminal.
enum LiveServices {
  /// - Returns: The objects; the record takes no writes before `ledger.open()` has found its ledger sound (L9, D5).
  static func build(
    _ arguments: Arguments, _ folder: DataFolder, _ encoder: Encoder?, _ publicURL: String,
    log: @escaping @Sendable (String) -> Void = { _ in }
  ) async throws -> Services {
    let clock = DataFolder.clock
    let random = RandomSource.system
    let logins = RevokedLogins()
    try await logins.load(from: folder.record, at: clock.now)
    let keys = try KeyRing(folder: folder.path + "/keys", at: clock.now, random: random)
    // One by default: embedding must leave searches a processor.
    let threadCount = arguments.isSet("threads") ? arguments.integer("threads") : 1
    let indexer = try folder.indexer(encoder: encoder, threadCount: threadCount)
    try await indexer.load()
    warn(of: indexer)
    let engine = SearchEngine(
      encoder: .init(encoder: encoder), microseconds: DataFolder.microseconds)
    let idempotency = Idempotency(
      sealer: Sealer(key: keys.derived(for: "idempotency")), random: random,
      patience: KeysInFlight.Patience(milliseconds: Int64(arguments.integer("in-flight-ms"))))
    let sessions = sessions(arguments, folder, keys, idempotency, publicURL)
    let chat = ChatDesk(
      database: folder.record, clock: clock, random: random, index: indexer.index,
      guide: Guide(engine: engine, hasSandbox: arguments.isSet("demo")),
      agent: agent(arguments, clock, random), sessions: sessions, log: log)
    let feedback = FeedbackDesk(
      database: folder.record, clock: clock, random: random, key: keys.derived(for: "feedback"),
      settings: try learning(arguments))
    let accounts = try IdentitySettings.accounts(arguments, folder, keys, logins, publicURL, log)
    return Services(
      record: folder.record, ledger: gate(arguments, folder, keys, sessions, chat, log),
      clock: clock, random: random, keys: keys, accounts: accounts,
      refreshTokens: RefreshTokens(
        database: folder.record.writing(as: .essential), clock: clock, random: random,
        key: keys.derived(for: "refresh"), revoked: logins),
      idempotency: idempotency, indexer: indexer, engine: engine, sessions: sessions, chat: chat,
      feedback: feedback, tuner: folder.tuner(indexer, gate: arguments.text("gate")),
      payments: try payments(arguments, folder, idempotency, publicURL, log),
      webhooks: try webhooks(arguments, folder, keys, idempotency, publicURL, accounts.mail, log),
      authorization: AuthorizationSettings.server(arguments, folder, keys, publicURL),
      hub: ProviderHub(database: folder.record, clock: clock, random: random, keys: keys),
      openID: try AuthorizationSettings.openID(arguments, keys, publicURL),
      configuration: try configuration(arguments, folder, publicURL))
  }

  private static func warn(of indexer: Indexer) {
    guard let words = indexer.index.snapshot.tuningFault else { return }
    Terminal.words("waypost: the shipped ranking is in use. \(words)")
  }

  private static func configuration(
    _ arguments: Arguments, _ folder: DataFolder, _ publicURL: String
  ) throws -> Services.Configuration {
    var configuration = Services.Configuration(publicURL: publicURL)
    configuration.isDemo = arguments.isSet("demo")
    configuration.backupFolder = folder.path + "/backups"
    configuration.auditHead = folder.auditHead
    configuration.corsOrigins = (arguments.text("cors-origins") ?? "").split(separator: ",").map(
      String.init)
    configuration.limit(by: arguments)
    configuration.anonymousBytesPerDay = arguments.integer("anonymous-mb") * 1_048_576
    configuration.trustedProxies = try TrustedProxies(arguments.text("trusted-proxies") ?? "")
    configuration.version = Main.version
    configuration.feeBasisPoints = Int64(arguments.integer("fee-bps"))
    return configuration
  }

  /// Before the first write: nothing may be built on a ledger that is not sound. Then the start's own come first: the
  /// sandbox's provider, the trial budget, every deadline of the time away, the turns that a stop cut off.
  private static func gate(
    _ arguments: Arguments, _ folder: DataFolder, _ keys: KeyRing, _ sessions: SessionDesk,
    _ chat: ChatDesk, _ log: @escaping @Sendable (String) -> Void
  ) -> LedgerGate {
    let clock = DataFolder.clock
    let isDemo = arguments.isSet("demo")
    let trialBudget = Int64(arguments.integer("trial-budget-tokens"))
    return LedgerGate(
      database: folder.record, clock: clock, seal: ChainSeal(keys: keys, clock: clock), log: log
    ) { record in
      if isDemo {
        try await record.write { connection in
          try CatalogStore.putProvider(
            id: Sandbox.providerID, name: "Waypost sandbox", verified: true, at: clock.now,
            on: connection)
        }
      }
      try await sessions.fundTrials(tokens: trialBudget, through: record)
      try await sessions.sweep(through: record)
      try await chat.recover(through: record)
    }
  }

  private static func sessions(
    _ arguments: Arguments, _ folder: DataFolder, _ keys: KeyRing, _ idempotency: Idempotency,
    _ publicURL: String
  ) -> SessionDesk {
    var policy = TrialPolicy()
    policy.perDayMax = Int64(arguments.integer("trials-per-day"))
    policy.perProviderDayMax = Int64(arguments.integer("trials-per-provider"))
    policy.repeatsMax = Int64(arguments.integer("trial-repeats"))
    if arguments.isSet("demo") {
      policy.sandbox = Sandbox(publicURL: publicURL)
    }
    return SessionDesk(
      database: folder.record, clock: DataFolder.clock, random: .system, keys: keys,
      idempotency: idempotency, policy: policy, publicURL: publicURL,
      feeBasisPoints: Int64(arguments.integer("fee-bps")), spending: requireSpendable)
  }

  /// What must hold before a user's units are reserved for a session: no freeze, no debt, and the user's own limits.
  @Sendable private static func requireSpendable(
    _ user: ID<UserKind>, _ amount: Microtokens, _ now: Timestamp, _ connection: Connection
  ) throws {
    try StandingStore.requireSettled(user, at: now, on: connection)
    try SpendingLimits.require(.user(user), amount, at: now, on: connection)
  }

  /// Purchases; without a key of a payment processor nothing can be bought.
  private static func payments(
    _ arguments: Arguments, _ folder: DataFolder, _ idempotency: Idempotency, _ publicURL: String,
    _ log: @escaping @Sendable (String) -> Void
  ) throws -> PaymentDesk {
    let (key, secret) = (arguments.text("stripe-key"), arguments.text("stripe-webhook-secret"))
    var offer: PaymentDesk.Offer?
    if key != nil || secret != nil {
      offer = PaymentDesk.Offer(
        processor: try StripeClient(
          url: arguments.text("stripe-url") ?? "", key: key ?? "", webhookSecret: secret ?? ""),
        price: try TokenPrice(
          minorPerToken: Int64(arguments.integer("token-price")),
          currency: arguments.text("token-currency") ?? ""))
    }
    return PaymentDesk(
      database: folder.record, clock: DataFolder.clock, random: .system, idempotency: idempotency,
      offer: offer, publicURL: publicURL, log: log)
  }

  private static func webhooks(
    _ arguments: Arguments, _ folder: DataFolder, _ keys: KeyRing, _ idempotency: Idempotency,
    _ publicURL: String, _ mail: MailDesk?, _ log: @escaping @Sendable (String) -> Void
  ) throws -> WebhookDesk {
    var letter: NoticeMailer.Letter?
    if let mail { letter = { try await mail.send($0) } }
    return WebhookDesk(
      database: folder.record, clock: DataFolder.clock, random: .system,
      key: keys.derived(for: "webhooks"), idempotency: idempotency,
      rules: try webhookRules(arguments, publicURL: publicURL), letter: letter, log: log)
  }

  /// Receivers on loopback are for development: with `--demo`, and only where nobody outside is served.
  private static func webhookRules(
    _ arguments: Arguments, publicURL: String
  ) throws -> WebhookRules {
    let text = arguments.text("webhook-ports") ?? ""
    let words = text.split(separator: ",").map { String($0).trimmingPrefix { $0 == " " } }
    let ports = words.compactMap { Int($0) }.filter { (1...65_535).contains($0) }
    guard ports.count == words.count else {
      throw Arguments.Mistake.badValue(
        flag: "webhook-ports", value: text, expected: "ports from 1 to 65535, separated by commas")
    }
    return WebhookRules(
      ports: Set(ports),
      allowsLoopback: arguments.isSet("demo") && !publicURL.hasPrefix("https://"))
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
