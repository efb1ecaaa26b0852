import Cryptography
import Foundation
import Identity
import Primitives
import Testing
import TestSupport

#if canImport(Glibc)
  import Glibc
#endif

private let start = Timestamp(milliseconds: 1_800_000_000_000)

private let damagedFiles: [String] = [
  "", "{", "[]x", "{\"keys\":[{\"kid\":\"a\"}]}",
  "{\"keys\":[{\"kid\":\"a\",\"activeFrom\":0,\"der\":\"AAAA\"}]}",
]

@Suite("keys are published before they sign and kept after")
struct KeyRingTests {
  let folder: TemporaryFolder
  let random = RandomSource.seeded(5)

  init() throws { folder = try TemporaryFolder() }

  private var path: String { folder.path + "/keys" }

  private func openRing(at now: Timestamp = start) throws -> KeyRing {
    try KeyRing(folder: path, at: now, random: random)
  }

  private func published(_ ring: KeyRing, at now: Timestamp) -> [String] {
    (ring.jwks(at: now)["keys"]?.array ?? []).compactMap { $0["kid"]?.string }
  }

  @Test("the first key signs at once and is published")
  func firstKey() throws {
    let ring = try openRing()
    #expect(ring.entries.count == 1)
    let id = ring.signing(at: start).verifying.thumbprint
    #expect(published(ring, at: start) == [id])
    #expect(ring.verifying(id, at: start)?.thumbprint == id)
    let isUnknown = ring.verifying("nobody", at: start) == nil
    #expect(isUnknown)
  }

  @Test("a folder opened again has the same keys and the same secret")
  func reopens() throws {
    let ring = try openRing()
    try ring.rotate(at: start)
    let again = try openRing(at: start + 1_000_000)
    #expect(again.entries.map(\.id) == ring.entries.map(\.id))
    #expect(again.entries.map(\.activeFrom) == ring.entries.map(\.activeFrom))
    #expect(again.derived(for: "cursor") == ring.derived(for: "cursor"))
    let message = Array("message".utf8)
    let signature = again.signing(at: start).sign(message)
    #expect(ring.signing(at: start).verifying.verifies(signature, of: message))
  }

  @Test("files of keys are for their owner only")
  func modes() throws {
    let ring = try openRing()
    #expect(fileMode(path + "/secret") == 0o600)
    #expect(fileMode(path + "/signing.json") == 0o600)
    #expect(fileMode(path) == 0o700)
    try ring.rotate(at: start)
    #expect(fileMode(path + "/signing.json") == 0o600)
    let names = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(names.sorted() == ["secret", "signing.json"])
  }

  @Test(
    "keys that others may read or change are refused and left as they were",
    arguments: [
      ("/secret", 0o640), ("/secret", 0o604), ("/signing.json", 0o644), ("/signing.json", 0o620),
      ("", 0o770), ("", 0o702),
    ] as [(String, UInt32)])
  func openModes(file: String, mode: UInt32) throws {
    _ = try openRing()
    chmod(path + file, mode)
    let refused = #expect(throws: Refusal.self) { try openRing() }
    #expect(refused?.code == .storageUnavailable)
    #expect(refused?.detail.contains(file.isEmpty ? "chmod 700" : "chmod 600") == true)
    #expect(fileMode(path + file) == mode)
    chmod(path + file, file.isEmpty ? 0o700 : 0o600)
    #expect(throws: Never.self) { try openRing() }
  }

  @Test("a new key is published at once and signs after two max-ages, to the millisecond")
  func rotation() throws {
    let ring = try openRing()
    let old = ring.signing(at: start).verifying.thumbprint
    try ring.rotate(at: start)
    let new = try #require(ring.entries.last?.id)
    #expect(new != old)
    #expect(published(ring, at: start) == [old, new])
    let active = start + 2 * KeyRing.maxAgeSeconds * 1_000
    #expect(ring.signing(at: active + -1).verifying.thumbprint == old)
    #expect(ring.signing(at: active).verifying.thumbprint == new)
    #expect(published(ring, at: active) == [old, new])
  }

  @Test("the old key is kept for the longest life of a token and two max-ages more")
  func oldKey() throws {
    let ring = try openRing()
    let old = ring.signing(at: start).verifying.thumbprint
    try ring.rotate(at: start)
    let new = try #require(ring.entries.last?.id)
    let active = start + 2 * KeyRing.maxAgeSeconds * 1_000
    let end = active + (KeyRing.tokenLifeSeconds + 2 * KeyRing.maxAgeSeconds) * 1_000
    #expect(published(ring, at: end + -1) == [old, new])
    #expect(published(ring, at: end) == [new])
    let isGone = ring.verifying(old, at: end) == nil
    #expect(isGone)
    #expect(ring.verifying(new, at: end)?.thumbprint == new)
  }

  @Test(
    "a verifier that keeps the key set for its max-age never meets an unknown key",
    arguments: [1, 60, 299, 300] as [Int64])
  func cachingVerifier(step: Int64) throws {
    let ring = try openRing()
    try ring.rotate(at: start + 1_000_000)
    var cached = [ring.entries[0].id]
    var cachedAt = start
    for tick in 0..<(6_000 / step) {
      let now = start + tick * step * 1_000
      if now - cachedAt >= KeyRing.maxAgeSeconds * 1_000 {
        // The ring of that moment: before its rotation the second key was not there.
        let isRotated = now >= start + 1_000_000
        cached = isRotated ? published(ring, at: now) : [ring.entries[0].id]
        cachedAt = now
      }
      let signer = ring.signing(at: now).verifying.thumbprint
      if !cached.contains(signer) { Issue.record("\(signer) is unknown after \(tick * step) s") }
    }
  }

  @Test("the key set holds public parts only")
  func publicOnly() throws {
    let ring = try openRing()
    try ring.rotate(at: start)
    let set = ring.jwks(at: start)
    let allowed: Set<String> = ["kty", "crv", "x", "y", "alg", "use", "kid"]
    for key in set["keys"]?.array ?? [] {
      let names = try #require(key.object).keys
      #expect(Set(names) == allowed)
    }
    for entry in ring.entries {
      let isShown = set.text.contains(BytesText.base64url(entry.key.der))
      #expect(!isShown)
    }
  }

  @Test("derived keys have 32 bytes, differ by purpose and by server")
  func derived() throws {
    let ring = try openRing()
    let other = KeyRing(inMemoryAt: start, random: random)
    #expect(ring.derived(for: "a").count == 32)
    #expect(ring.derived(for: "a") == ring.derived(for: "a"))
    #expect(ring.derived(for: "a") != ring.derived(for: "b"))
    #expect(ring.derived(for: "a") != other.derived(for: "a"))
  }

  @Test("a damaged file of keys is refused and left as it was", arguments: damagedFiles)
  func damaged(text: String) throws {
    _ = try openRing()
    let file = URL(fileURLWithPath: path + "/signing.json")
    try Data(text.utf8).write(to: file)
    #expect(throws: (any Error).self) { try openRing() }
    let left = try Data(contentsOf: file)
    #expect(left == Data(text.utf8))
  }

  @Test("a damaged secret is refused and left as it was: what it sealed must stay readable")
  func damagedSecret() throws {
    _ = try openRing()
    let file = URL(fileURLWithPath: path + "/secret")
    try Data([1, 2, 3]).write(to: file)
    #expect(throws: (any Error).self) { try openRing() }
    let left = try Data(contentsOf: file)
    #expect(left == Data([1, 2, 3]))
  }

  @Test("repeating a rotation while the next key waits changes nothing")
  func rotatesOnce() throws {
    let ring = try openRing()
    let first = try ring.rotate(at: start)
    let again = try ring.rotate(at: start + 1_000)
    #expect(again.id == first.id)
    #expect(again.activeFrom == first.activeFrom)
    #expect(ring.entries.count == 2)
    let later = try ring.rotate(at: first.activeFrom)
    #expect(later.id != first.id)
  }

  @Test("a key that is removed is refused at once, and another signs", arguments: [false, true])
  func emergency(hasNext: Bool) throws {
    let ring = try openRing()
    let bad = ring.signing(at: start).verifying.thumbprint
    let next = hasNext ? try ring.rotate(at: start).id : nil
    try ring.remove(bad, at: start + 1)
    let isRefused = ring.verifying(bad, at: start + 1) == nil
    #expect(isRefused)
    let signer = ring.signing(at: start + 1).verifying.thumbprint
    #expect(signer != bad)
    if let next { #expect(signer == next) }
    #expect(published(ring, at: start + 1) == [signer])
    let again = try openRing(at: start + 2)
    #expect(again.entries.map(\.id) == [signer])
    #expect(throws: Refusal.self) { try ring.remove(bad, at: start + 3) }
  }

  @Test("a key that waits can be removed, and the present one goes on signing")
  func removesWaiting() throws {
    let ring = try openRing()
    let present = ring.signing(at: start).verifying.thumbprint
    let next = try ring.rotate(at: start)
    try ring.remove(next.id, at: start)
    #expect(ring.signing(at: start + 10_000_000).verifying.thumbprint == present)
    #expect(published(ring, at: start) == [present])
  }

  @Test("keys rotate by themselves every 90 days, and old ones leave the file")
  func tends() throws {
    let ring = try openRing()
    let first = ring.entries[0].id
    let due = start + (KeyRing.rotationMilliseconds - KeyRing.noticeMilliseconds)
    let early = ring.due(at: due + -1)
    #expect(early.isEmpty)
    #expect(ring.due(at: due) == [.es256])
    let made = try ring.rotate(.es256, at: due)
    #expect(made.activeFrom == start + KeyRing.rotationMilliseconds)
    let repeated = ring.due(at: due + 1)
    #expect(repeated.isEmpty)
    let keep = (KeyRing.tokenLifeSeconds + 2 * KeyRing.maxAgeSeconds) * 1_000
    let end = start + KeyRing.rotationMilliseconds + keep
    try ring.forget(at: end + -1)
    #expect(ring.entries.map(\.id).contains(first))
    try ring.forget(at: end)
    #expect(!ring.entries.map(\.id).contains(first))
    let again = try openRing(at: end)
    #expect(again.entries.map(\.id) == ring.entries.map(\.id))
  }

  @Test("another algorithm signs from when its key may be known; until then ES256 does")
  func otherAlgorithm() throws {
    let ring = try openRing()
    let from = try ring.prepare(.eddsa, at: start)
    #expect(from == start + KeyRing.noticeMilliseconds)
    #expect(ring.signing(at: start, algorithm: .eddsa).algorithm == .es256)
    #expect(ring.signing(at: from + -1, algorithm: .eddsa).algorithm == .es256)
    #expect(ring.signing(at: from, algorithm: .eddsa).algorithm == .eddsa)
    #expect(ring.signing(at: from).algorithm == .es256)
    let repeated = try ring.prepare(.eddsa, at: start + 5_000)
    #expect(repeated == from)
    #expect(published(ring, at: start).count == 2)
    let again = try openRing(at: from)
    #expect(again.signing(at: from, algorithm: .eddsa).algorithm == .eddsa)
    // Neither pushes the other out of the set.
    let late = from + 40_000_000
    #expect(published(ring, at: late).count == 2)
  }

  @Test("tokens of a rotation verify by the key set of any moment within its max-age")
  func tokensOverRotation() throws {
    let ring = try openRing()
    var cached: Set<String> = Set(published(ring, at: start))
    var cachedAt = start
    for tick in 0..<400 {
      let now = start + Int64(tick) * 10_000
      if tick == 33 { try ring.rotate(at: now) }
      if now - cachedAt >= KeyRing.maxAgeSeconds * 1_000 {
        cached = Set(published(ring, at: now))
        cachedAt = now
      }
      let token = JWT.sign(
        type: "at+jwt",
        claims: [
          "iss": "w", "sub": "u", "iat": .int(now.seconds), "exp": .int(now.seconds + 60),
        ], with: ring.signing(at: now))
      let claims = try? JWT.verify(
        token, expecting: .init(type: "at+jwt", issuer: "w", audience: nil), at: now
      ) { cached.contains($0) ? ring.verifying($0, at: now) : nil }
      if claims == nil { Issue.record("refused after \(tick * 10) s") }
    }
  }
}
