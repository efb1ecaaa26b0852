import Cryptography
import Foundation
import Identity
import Primitives
import SQLite
import Testing

private let issuer = "https://waypost.example"

@Suite("a bearer credential names its principal")
struct TokenTests {
  let place: Place
  let keys: KeyRing
  let accounts: Accounts
  let user: User

  init() throws {
    place = try Place()
    keys = KeyRing(inMemoryAt: place.time.now, random: place.random.source)
    accounts = Accounts(
      database: place.database, clock: place.time.clock, random: place.random.source, keys: keys,
      issuer: issuer)
    user = try TokenTests.user(role: "user", provider: nil)
  }

  /// A person as a token would name them. Accounts makes tokens of any `User` that the record gave.
  private static func user(role: String, provider: String?) throws -> User {
    let id = ID<UserKind>(high: 0x0190_0000_0000_0000, low: 7)
    let role = try #require(Role(rawValue: role))
    return User(id: id, email: "a@b.c", name: nil, role: role, providerID: provider)
  }
}
