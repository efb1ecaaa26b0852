import Authorization
import Cryptography
import Foundation
import HTTPClient
import Identity
import Index
import Primitives
import SQLite
import Synchronization
import TestSupport

/// A server of others, as a table of what it answers; it remembers what it was asked.
final class ScriptedServer: Sendable {
  struct Asked: Sendable {
    let url: String
    let body: String
    let authorization: String?
  }

  private let answers = Mutex<[String: FetchedDocument]>([:])
  private let log = Mutex<[Asked]>([])

  func set(_ url: String, _ document: JSON, status: Int = 200, maxAge: Int64? = nil) {
    let answer = FetchedDocument(status: status, bytes: document.bytes, maxAgeSeconds: maxAge)
    answers.withLock { $0[url] = answer }
  }

  func remove(_ url: String) { answers.withLock { $0[url] = nil } }

  var asked: [Asked] { log.withLock { $0 } }
  func count(of url: String) -> Int { asked.count { $0.url == url } }

  var fetcher: DocumentFetcher {
    DocumentFetcher { request in
      let authorization = request.headers.first { $0.name == "Authorization" }?.value
      self.log.withLock {
        $0.append(
          Asked(
            url: request.url, body: String(decoding: request.body, as: UTF8.self),
            authorization: authorization))
      }
      guard let answer = self.answers.withLock({ $0[request.url] }),
        answer.bytes.count <= request.byteCountMax
      else { return nil }
      return answer
    }
  }
}

/// A real record with a person, a provider and an authorization server.
struct World: Sendable {
  static let issuer = "https://waypost.example"
  static let verifier = String(repeating: "v", count: 43)

  let folder: TemporaryFolder
  let time = MovableClock(Timestamp(milliseconds: 1_800_000_000_000))
  let random = RandomSource.seeded(13)
  let database: Database
  let keys: KeyRing
  let accounts: Accounts
  let others = ScriptedServer()
  let server: AuthorizationServer
  let hub: ProviderHub
  let user: ID<UserKind>
  /// A login of the user's, in which it allows what it is asked.
  let login: ID<LoginKind>
  let ended = Ended()

  init() async throws {
    folder = try TemporaryFolder()
    let migrations = IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) }
    let database = try Database(path: folder.path + "/record.db", migrations: migrations)
    self.database = database
    let keys = KeyRing(inMemoryAt: time.now, random: random)
    self.keys = keys
    accounts = Accounts(
      database: database, clock: time.clock, random: random, keys: keys,
      issuer: World.issuer)
    server = AuthorizationServer(
      database: database, clock: time.clock, random: random, keys: keys,
      issuer: World.issuer,
      documents: ClientDocuments(fetcher: others.fetcher, clock: time.clock))
    hub = ProviderHub(
      database: database, clock: time.clock, random: random, keys: keys)
    let id = ID<UserKind>(at: time.now, random: random)
    let login = ID<LoginKind>.secret(random)
    user = id
    self.login = login
    try await database.write { connection in
      try connection.run(
        """
        INSERT INTO user(id, email, name, password_hash, role, created_ms, verified_ms)
        VALUES (?, 'ann@example.org', 'Ann', '', 'user', 0, 1)
        """, [.blob(id.bytes)])
      try connection.run(
        """
        INSERT INTO refresh_family(id, user_id, seed, generation, rotated_ms, created_ms, client)
        VALUES (?, ?, zeroblob(32), 0, 0, 0, '')
        """, [.blob(login.bytes), .blob(id.bytes)])
      for provider in ["alpha", "beta"] {
        try connection.run(
          "INSERT INTO provider(id, name, created_ms, updated_ms) VALUES (?, ?, 0, 0)",
          [.text(provider), .text(provider)])
      }
    }
  }

  /// What ended, told to the accounts as the routes do.
  final class Ended: Sendable {
    private let count = Mutex(0)
    var total: Int { count.withLock { $0 } }
    func add(_ number: Int) { count.withLock { $0 += number } }
  }

  func addClient(
    _ uris: [String] = ["https://app.example/cb"], confidential: Bool = false,
    scopes: Set<Scope> = Scope.ofPeople, keySet: JSON? = nil
  ) async throws -> OAuthClient {
    let draft = OAuthClient.Draft(
      name: "App", redirectURIs: uris, scopes: scopes, isConfidential: confidential,
      keySet: keySet)
    return try await database.write { connection in
      try server.clients.add(
        draft, by: .system, at: time.now, random: random, on: connection)
    }
  }

  static var challenge: String { BytesText.base64url(Digest.sha256(Array(verifier.utf8))) }

  /// The parameters of a sound request, with some changed; nil leaves one out.
  func form(
    _ client: OAuthClient, _ changes: [String: String?] = [:]
  ) -> OAuthForm {
    var values: [String: String?] = [
      "response_type": "code", "client_id": client.id, "redirect_uri": client.redirectURIs.first,
      "state": "s-1", "code_challenge": World.challenge, "code_challenge_method": "S256",
      "scope": "discovery:read sessions:read",
    ]
    for (name, value) in changes { values.updateValue(value, forKey: name) }
    return OAuthForm(
      values.compactMap { name, value in value.map { (name: name, value: $0) } }
        .sorted { $0.name < $1.name })
  }

  /// The code of a person's yes.
  func code(_ client: OAuthClient, _ changes: [String: String?] = [:]) async throws -> String {
    let request = try await server.request(form(client, changes), from: "a")
    let address = try await server.allow(request, by: user, in: login, author: .system)
    return parameter("code", of: address) ?? ""
  }

  func token(
    _ pairs: [(name: String, value: String)], authorization: String? = nil
  ) async throws -> JSON {
    try await server.token(
      OAuthForm(pairs), proof: try ClientProof(authorization: authorization)
    ) { logins in
      ended.add(logins.count)
      accounts.loginsEnded(logins)
    }
  }

  func exchange(
    _ code: String, _ client: OAuthClient, verifier: String = World.verifier,
    redirect: String? = nil
  ) async throws -> JSON {
    try await token([
      ("grant_type", "authorization_code"), ("code", code), ("client_id", client.id),
      ("redirect_uri", redirect ?? client.redirectURIs.first ?? ""), ("code_verifier", verifier),
    ])
  }

  func refresh(_ token: String, _ client: OAuthClient) async throws -> JSON {
    try await self.token([
      ("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client.id),
    ])
  }

  /// Whether the accounts take an access token.
  func isTaken(_ answer: JSON) async -> Bool {
    let credential = try? await accounts.credential(bearer: answer["access_token"]?.string ?? "")
    return credential != nil
  }

  func events(_ type: String) async throws -> [JSON] {
    try await database.read { connection in
      try connection.rows(
        "SELECT payload FROM outbox WHERE type = ? ORDER BY seq", [.text(type)]
      ) { try JSON.parse(Array($0.text(0).utf8)) }
    }
  }
}

/// A parameter of an address's query; values here need no decoding.
func parameter(_ name: String, of address: String) -> String? {
  let query = address.split(separator: "?", maxSplits: 1).last ?? ""
  for pair in query.split(separator: "&") where pair.hasPrefix(name + "=") {
    return String(pair.dropFirst(name.utf8.count + 1))
  }
  return nil
}

/// The code of OAuth that a piece of work is refused with, or nil.
func refusal(of work: () async throws -> some Any) async -> OAuthError.Code? {
  do {
    _ = try await work()
    return nil
  } catch let error as OAuthError {
    return error.code
  } catch let fault as AuthorizationFault {
    switch fault {
    case .shown(let error), .returned(let error, _, _): return error.code
    }
  } catch {
    return nil
  }
}
