import Primitives
import Search

/// One setting: where it is read from, what it is when nothing is said, and its line of help.
struct Setting: Sendable {
  enum Kind: Equatable { case text, list, integer(ClosedRange<Int>), flag, secret }

  let flag: String
  let environment: String?
  let fallback: String?
  let kind: Kind
  /// The commands that take it; empty for all.
  let commands: [String]
  let help: String

  init(
    _ flag: String, _ environment: String?, _ fallback: String?, _ kind: Kind = .text,
    commands: [String] = [], _ help: String
  ) {
    self.flag = flag
    self.environment = environment
    self.fallback = fallback
    self.kind = kind
    self.commands = commands
    self.help = help
  }

  /// Every setting. `--help`, parsing and Pages/settings.md come from this table.
  static let all: [Setting] = [
    Setting("data", "WAYPOST_DATA", "./data", .text, "folder of the record and the index"),
    Setting("home", "WAYPOST_HOME", ".waypost", .text, "folder of the embedding model"),
    Setting(
      "journal", "WAYPOST_JOURNAL", nil, commands: ["serve", "restore"],
      "wal or truncate: how the record is written; without it as the record was"),
    Setting("json", nil, nil, .flag, "answers (and logs of serve) as JSON"),
    Setting(
      "host", "WAYPOST_HOST", "127.0.0.1", commands: ["serve"], "numeric address to listen on"),
    Setting(
      "port", "WAYPOST_PORT", "8080", .integer(0...65_535), commands: ["serve", "doctor"],
      "port to listen on; 0 picks a free one"),
    Setting(
      "public-url", "WAYPOST_PUBLIC_URL", nil, commands: ["serve"],
      "address that users see: issuer of tokens, base of links"),
    Setting(
      "demo", "WAYPOST_DEMO", nil, .flag, commands: ["serve", "openapi"],
      "adds the sandbox provider, where demo listings can be tried"),
    Setting(
      "cors-origins", "WAYPOST_CORS_ORIGINS", "", commands: ["serve"],
      "origins that may call the API from a browser, separated by commas"),
    Setting(
      "trusted-proxies", "WAYPOST_TRUSTED_PROXIES", "", commands: ["serve"],
      "addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas"),
    Setting(
      "rate-limit", "WAYPOST_RATE_LIMIT", "600", .integer(0...1_000_000), commands: ["serve"],
      "requests a minute for each user, key, session token, login or address; 0 lifts it"),
    Setting(
      "address-limit", "WAYPOST_ADDRESS_LIMIT", nil, .integer(0...1_000_000), commands: ["serve"],
      "requests a minute from one address, however many accounts it has; unless set, ten times --rate-limit"
    ),
    Setting(
      "in-flight-ms", "WAYPOST_IN_FLIGHT_MS", "2000", .integer(0...60_000), commands: ["serve"],
      "milliseconds that a keyed request may run until its repeats are refused, not made to wait"),
    Setting(
      "login-limit", "WAYPOST_LOGIN_LIMIT", "20", .integer(0...1_000_000), commands: ["serve"],
      "sign-ins a minute for each address; 0 lifts it"),
    Setting(
      "register-limit", "WAYPOST_REGISTER_LIMIT", nil, .integer(0...1_000_000),
      commands: ["serve"], "registrations a minute for each address; unless set, as --login-limit"),
    Setting(
      "search-limit", "WAYPOST_SEARCH_LIMIT", nil, .integer(0...1_000_000), commands: ["serve"],
      "searches and suggestions a second for each user, key or address; unless set 50, or 0 with --rate-limit 0"
    ),
    Setting(
      "chat-limit", "WAYPOST_CHAT_LIMIT", nil, .integer(0...1_000_000), commands: ["serve"],
      "chat turns a minute for each user or address; unless set, a fifth of --rate-limit"),
    Setting(
      "password-list", "WAYPOST_PASSWORD_LIST", nil, commands: ["serve"],
      "file of passwords that nobody may choose, one a line; else cracklib's, else the 100 most common"
    ),
    Setting(
      "smtp-url", "WAYPOST_SMTP_URL", nil, commands: ["serve"],
      "smtp://host:port or smtps://host:port; turns on e-mail: verification, password reset, notices"
    ),
    Setting(
      "smtp-from", "WAYPOST_SMTP_FROM", nil, commands: ["serve"], "address that e-mails come from"),
    Setting(
      "smtp-tls", "WAYPOST_SMTP_TLS", "starttls", commands: ["serve"],
      "starttls, or none (with a password only to this machine)"),
    Setting(
      "smtp-user", "WAYPOST_SMTP_USER", nil, commands: ["serve"], "user at that server"),
    Setting(
      "smtp-password", "WAYPOST_SMTP_PASSWORD", nil, .secret, commands: ["serve"],
      "password of that user; from the environment only"),
    Setting(
      "oidc-issuer", "WAYPOST_OIDC_ISSUER", nil, commands: ["serve"],
      "OpenID provider that people may sign in through: its https address"),
    Setting(
      "oidc-client-id", "WAYPOST_OIDC_CLIENT_ID", nil, commands: ["serve"],
      "our id at that provider"),
    Setting(
      "oidc-secret", "WAYPOST_OIDC_SECRET", nil, .secret, commands: ["serve"],
      "our secret at that provider; from the environment only"),
    Setting(
      "anonymous-mb", "WAYPOST_ANONYMOUS_MB", "64", .integer(0...1_000_000), commands: ["serve"],
      "megabytes of conversation an address may store a day without signing in; 0 lifts it"),
    Setting(
      "trial-budget-tokens", "WAYPOST_TRIAL_BUDGET_TOKENS", "1000000",
      .integer(0...1_000_000_000), commands: ["serve"],
      "whole tokens posted to the trial account at the very first start"),
    Setting(
      "fee-bps", "WAYPOST_FEE_BPS", "2000", .integer(2_000...2_500), commands: ["serve"],
      "the platform's share of captures of paid use, in ten-thousandths"),
    Setting(
      "trials-per-day", "WAYPOST_TRIALS_PER_DAY", "5", .integer(0...1_000_000),
      commands: ["serve"], "trials a user may start in 24 hours"),
    Setting(
      "trials-per-provider", "WAYPOST_TRIALS_PER_PROVIDER", "200", .integer(0...1_000_000),
      commands: ["serve"], "trials that may start with one provider in 24 hours"),
    Setting(
      "trial-repeats", "WAYPOST_TRIAL_REPEATS", "1", .integer(0...1_000_000), commands: ["serve"],
      "finished trials of one service a user may have in 30 days"),
    Setting(
      "stripe-url", "WAYPOST_STRIPE_URL", "https://api.stripe.com", commands: ["serve"],
      "base URL of the payment processor's API, in Stripe's form"),
    Setting(
      "stripe-key", "WAYPOST_STRIPE_KEY", nil, .secret, commands: ["serve"],
      "secret key for that API; without it tokens cannot be bought; from the environment only"),
    Setting(
      "stripe-webhook-secret", "WAYPOST_STRIPE_WEBHOOK_SECRET", nil, .secret,
      commands: ["serve"],
      "secret that its events are signed with; goes with the key; from the environment only"),
    Setting(
      "token-price", "WAYPOST_TOKEN_PRICE", "1", .integer(1...999), commands: ["serve"],
      "price of a token in minor units of the currency"),
    Setting(
      "token-currency", "WAYPOST_TOKEN_CURRENCY", "eur", commands: ["serve"],
      "currency of the price, ISO 4217"),
    Setting(
      "webhook-ports", "WAYPOST_WEBHOOK_PORTS", "443,8443", commands: ["serve"],
      "ports that webhooks may be sent to beside 443, separated by commas"),
    Setting(
      "llm-url", "WAYPOST_LLM_URL", nil, commands: ["serve", "chat"], "OpenAI-compatible base URL"),
    Setting(
      "llm-model", "WAYPOST_LLM_MODEL", nil, commands: ["serve", "chat"], "model name at that URL"),
    Setting(
      "llm-key", "WAYPOST_LLM_KEY", nil, .secret, commands: ["serve", "chat"],
      "key for that URL; from the environment only"),
    Setting(
      "llm-tokens-per-day", "WAYPOST_LLM_TOKENS_PER_DAY", "200000", .integer(0...1_000_000_000),
      commands: ["serve"],
      "the model's tokens that each user, or address, may use in a day (UTC); then the guide answers; 0 lifts it"
    ),
    Setting(
      "server", "WAYPOST_SERVER", nil,
      commands: ["import", "search", "chat", "reindex", "tune", "ledger", "backup", "keys"],
      "URL of a running server"),
    Setting(
      "token", "WAYPOST_TOKEN", nil, .secret,
      commands: ["import", "reindex", "tune", "ledger", "backup", "keys"],
      "admin's access token for that server; from the environment only"),
    Setting("atomic", nil, nil, .flag, commands: ["import"], "everything or nothing"),
    Setting("dry-run", nil, nil, .flag, commands: ["import", "tune"], "only reports"),
    Setting(
      "no-embed", nil, nil, .flag, commands: ["import"], "leaves embedding to reindex or serve"),
    Setting("filter", nil, nil, commands: ["search"], "filter expression"),
    Setting("limit", nil, "10", .integer(1...100), commands: ["search"], "hits to print"),
    Setting(
      "catalog", nil, nil, commands: ["eval", "tune", "bench"],
      "catalog to measure on (JSON Lines or a folder); tune then writes nothing"),
    Setting(
      "queries", nil, nil, commands: ["eval", "tune", "bench"],
      "needs, JSON Lines; bench also takes a folder of judged sets"),
    Setting("qrels", nil, nil, commands: ["eval", "tune"], "judgements, TREC form"),
    Setting(
      "pool", nil, nil, commands: ["eval", "tune"], "ids of the catalog to keep, one a line"),
    Setting(
      "ranking", nil, nil, commands: ["eval"], "ranking configuration in place of the shipped one"),
    Setting(
      "compare", nil, nil, commands: ["eval"],
      "another ranking configuration, or a tuned model's folder, for a paired test"),
    Setting(
      "first", nil, "0", .integer(0...1_000_000), commands: ["eval"],
      "only the first so many needs; 0 for all"),
    Setting(
      "learn", "WAYPOST_LEARN", "on", commands: ["serve"],
      "on, or off: whether searches give a searchId and events are stored"),
    Setting(
      "feedback-days", "WAYPOST_FEEDBACK_DAYS", "180", .integer(1...3_650), commands: ["serve"],
      "days that events of searches are kept"),
    Setting(
      "from", nil, "judged", commands: ["tune", "ledger"],
      "of tune: judged (--queries and --qrels) or feedback (the record's events); of ledger: a date or time"
    ),
    Setting(
      "folds", nil, "5", .integer(2...20), commands: ["tune"], "parts of the needs kept apart"),
    Setting(
      "seed", nil, "7", .integer(0...1_000_000_000), commands: ["tune"],
      "the same seed on the same needs learns the same"),
    Setting(
      "gate", "WAYPOST_GATE", "Fixtures/judged", commands: ["tune", "serve"],
      "folder of judged needs that no tuning may spoil, where the catalog is theirs"),
    Setting(
      "rollback", nil, nil, .flag, commands: ["tune", "reindex"],
      "goes one back: to the model, or the index generation, before"),
    Setting(
      "defaults", nil, nil, commands: ["tune"],
      "ranking configuration to learn the shipped weights for, and to write"),
    Setting(
      "set", nil, nil, .list, commands: ["tune"],
      "a judged set, name:catalog:queries:qrels[:pool]:family; may be repeated"),
    Setting(
      "n", nil, "10000", commands: ["bench"],
      "how many services to measure with; several numbers separated by commas"),
    Setting(
      "rounds", nil, "3", .integer(1...20), commands: ["bench"],
      "rounds, each of the peer and of ours"),
    Setting("peers", nil, nil, commands: ["bench"], "folder of the peers' scripts"),
    Setting("python", nil, nil, commands: ["bench"], "Python with the peers' packages"),
    Setting(
      "clients", nil, "8", .integer(1...64), commands: ["bench"], "clients of the load over HTTP"),
    Setting(
      "seconds", nil, "20", .integer(1...600), commands: ["bench"], "length of the load over HTTP"),
    Setting(
      "changes", nil, "0", .integer(0...1_000), commands: ["bench"],
      "listing changes a second during the load"),
    Setting(
      "threads", "WAYPOST_THREADS", "2", .integer(1...64),
      commands: ["serve", "import", "reindex", "tune", "bench"],
      "threads for bulk embedding; serve takes one unless told"),
    Setting(
      "algorithm", nil, "ES256", commands: ["keys"], "ES256, EdDSA or RS256: which signing key"),
    Setting(
      "account", nil, nil, commands: ["ledger"],
      "user:ID, provider:ID, or a platform account such as platform_fees"),
    Setting("to", nil, nil, commands: ["ledger"], "a date or time where a statement ends"),
    Setting("at", nil, nil, commands: ["ledger"], "a time, or a number of the ledger's sequence"),
    Setting("csv", nil, nil, .flag, commands: ["ledger"], "a statement as CSV"),
    Setting("tokens", nil, nil, commands: ["ledger"], "an amount in tokens, such as 12.5"),
    Setting("reason", nil, nil, commands: ["ledger"], "why, in 1 to 200 characters"),
    Setting(
      "reference", nil, nil, commands: ["ledger"], "the bank's reference of a payout, used once"),
    Setting("role", nil, nil, commands: ["user"], "admin, provider or user"),
    Setting("email", nil, nil, commands: ["user"], "e-mail of the account"),
    Setting("provider", nil, nil, commands: ["user", "keys"], "id of the provider"),
    Setting("name", nil, nil, commands: ["user", "keys", "clients"], "name shown"),
    Setting(
      "redirect-uri", nil, nil, .list, commands: ["clients"],
      "where a program may be returned to; may be repeated"),
    Setting(
      "scopes", nil, nil, commands: ["clients"],
      "the most that a program may ask for, separated by commas; all of them unless told"),
    Setting(
      "key-set", nil, nil, commands: ["clients"],
      "file of the public keys (JSON Web Key Set) that a confidential program signs with, in place of a secret"
    ),
    Setting(
      "confidential", nil, nil, .flag, commands: ["clients"],
      "a program that keeps a secret, such as a server"),
  ]

  static func named(_ flag: String) -> Setting? { all.first { $0.flag == flag } }
}
