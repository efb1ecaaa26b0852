import Cryptography
import Primitives
import Testing

private let salted = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"

// Made by the reference implementation (argon2-cffi) and by the test of the reference itself.
private let known: [(String, String)] = [
  ("correct horse", salted + "rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk"),
  ("p\u{E4}ssw\u{F6}rd\u{1F511}", salted + "ylRUog/DKid4T16+uxmrBefT/2dCxmsDwk5YYuuYDpw"),
  (
    "password",
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
  ),
]

private let noHashes: [String] = [
  "", "correct horse", "$argon2id$", "$argon2id$v=19$", "$argon2id$v=19$m=19456,t=2,p=1$",
  salted, salted + "AAAA",
  salted + "rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJl",
  salted + "rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk$",
  "$argon2i$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
    + "k3A0Ke+5sl7ZwafSXeKqxs+yQZnuzL2o0YbQttdD+7g",
  "$2b$12$abcdefghijklmnopqrstuuJ8q8q8q8q8q8q8q8q8q8q8q8q8q8q8q",
]

@Suite("a password is checked against its Argon2id hash")
struct PasswordHashTests {
  @Test("a hash of the reference implementation is understood", arguments: known)
  func knownAnswers(password: String, hash: String) {
    #expect(PasswordHash.verify(password, against: hash))
    #expect(!PasswordHash.verify(password + " ", against: hash))
    #expect(!PasswordHash.verify("", against: hash))
  }

  @Test("a text that is no hash of the password is a plain no", arguments: noHashes)
  func refuses(hash: String) {
    #expect(!PasswordHash.verify("correct horse", against: hash))
  }

  @Test("a hash names its parameters and verifies its own password only")
  func makes() {
    let source = RandomSource { count in [UInt8](repeating: 0x61, count: count) }
    let hash = PasswordHash.make("caf\u{E9} \u{1F511}", random: source)
    #expect(hash.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
    #expect(PasswordHash.verify("caf\u{E9} \u{1F511}", against: hash))
    #expect(!PasswordHash.verify("cafe \u{1F511}", against: hash))
    #expect(PasswordHash.make("caf\u{E9} \u{1F511}", random: source) == hash)
  }

  @Test("the same salt and password give the reference's hash")
  func makesTheSame() {
    let source = RandomSource { count in Array("0123456789abcdef".utf8.prefix(count)) }
    #expect(PasswordHash.make(known[0].0, random: source) == known[0].1)
  }

  @Test("two hashes of one password differ by their salts")
  func salts() {
    let first = PasswordHash.make("same", random: .system)
    let second = PasswordHash.make("same", random: .system)
    #expect(first != second)
    #expect(PasswordHash.verify("same", against: first))
    #expect(PasswordHash.verify("same", against: second))
  }

  @Test("what follows a zero byte counts")
  func zeroBytes() {
    let hash = PasswordHash.make("a\u{0}b", random: .system)
    #expect(PasswordHash.verify("a\u{0}b", against: hash))
    #expect(!PasswordHash.verify("a", against: hash))
    #expect(!PasswordHash.verify("a\u{0}c", against: hash))
  }
}
