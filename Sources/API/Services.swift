package import Authorization
package import Chat
package import Identity
package import Ledger
package import Payments
package import Primitives
package import SQLite
package import Search
package import Sessions
package import Delivery

/// Every live object that routes need, built once by the command.
package struct Services: Sendable {
  package let record: Database
  package let clock: Clock
  package let random: RandomSource
  package let keys: KeyRing
  package let accounts: Accounts
  package let refreshTokens: RefreshTokens
  package let idempotency: Idempotency
  package let indexer: Indexer
  package let engine: SearchEngine
  package let sessions: SessionDesk
  package let chat: ChatDesk
  package let feedback: FeedbackDesk
  package let tuner: MarketplaceTuner
  package let payments: PaymentDesk
  package let webhooks: WebhookDesk
  package let authorization: AuthorizationServer
  package let hub: ProviderHub
  /// Sign-in through another service, where the operator has named one.
  package let openID: OpenIDClient?
  package let configuration: Configuration
  /// Completes what is typed; keeps its tables beside the snapshot's segments.
  package let suggester = Suggester()
  /// Takes writes over a sound ledger only.
  package let ledger: LedgerGate
  /// Verifies the audit log and keeps its head.
  package let audit: AuditKeeper
  /// The placements in force.
  package let placements = PlacementBook()

  package init(
    record: Database, ledger: LedgerGate, clock: Clock, random: RandomSource, keys: KeyRing,
    accounts: Accounts, refreshTokens: RefreshTokens, idempotency: Idempotency,
    indexer: Indexer, engine: SearchEngine, sessions: SessionDesk, chat: ChatDesk,
    feedback: FeedbackDesk, tuner: MarketplaceTuner, payments: PaymentDesk, webhooks: WebhookDesk,
    authorization: AuthorizationServer, hub: ProviderHub, openID: OpenIDClient?,
    configuration: Configuration
  ) {
    self.record = record
    self.ledger = ledger
    self.clock = clock
    self.random = random
    self.keys = keys
    self.accounts = accounts
    self.refreshTokens = refreshTokens
    self.idempotency = idempotency
    self.indexer = indexer
    self.engine = engine
    self.sessions = sessions
    self.chat = chat
    self.feedback = feedback
    self.tuner = tuner
    self.payments = payments
    self.webhooks = webhooks
    self.authorization = authorization
    self.hub = hub
    self.openID = openID
    self.configuration = configuration
    audit = AuditKeeper(
      database: record, clock: clock, keys: keys, headPath: configuration.auditHead)
  }

  /// What the command says about the server.
  package struct Configuration: Sendable {
    package var publicURL: String
    package var isDemo = false
    package var corsOrigins: [String] = []
    package var requestsPerMinute = 600
    /// Of one address, however many accounts it has.
    package var addressRequestsPerMinute = 6_000
    package var loginsPerMinute = 20
    package var registrationsPerMinute = 20
    package var chatsPerMinute = 120
    package var searchesPerSecond = 50
    /// Bytes that one address may store in a day without signing in; 0 lifts it.
    package var anonymousBytesPerDay = 64 * 1_048_576
    /// Tokens of the model that one user, or address without one, may have spoken in a day (UTC); 0 lifts it.
    package var modelTokensPerDay = 200_000
    package var trustedProxies = TrustedProxies.none
    /// The platform's share of captures of paid use, in ten-thousandths.
    package var feeBasisPoints: Int64 = 2_000
    package var version = ""
    /// Where backups are made; empty for nowhere.
    package var backupFolder = ""
    /// Where the head of the audit log is kept; nil for nowhere.
    package var auditHead: String?

    package init(publicURL: String) { self.publicURL = publicURL }

    /// Whether cookies may be marked Secure: everywhere but on plain loopback.
    var isSecure: Bool { publicURL.hasPrefix("https://") }
  }
}
