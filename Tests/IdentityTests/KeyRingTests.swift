import Cryptography
import Foundation
import Identity
import Primitives
import Testing

private let start = Timestamp(milliseconds: 1_800_000_000_000)

private let damagedFiles: [String] = [
  "", "{", "[]x", "{\"keys\":[{\"kid\":\"a\"}]}",
  "{\"keys\":[{\"kid\":\"a\",\"activeFrom\":0,\"der\":\"AAAA\"}]}",
]

@Suite("keys are published before they sign and kept after")
struct KeyRingTests {
  let folder: TemporaryFolder
  let random = SeededSource(seed: 5)

  init() throws { folder = try TemporaryFolder() }

  private var path: String { folder.path + "/keys" }

  private func openRing(at now: Timestamp = start) throws -> KeyRing {
    try KeyRing(folder: path, at: now, random: random.source)
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
    var ring = try openRing()
    try ring.rotate(folder: path, at: start)
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
    var ring = try openRing()
    #expect(fileMode(path + "/secret") == 0o600)
    #expect(fileMode(path + "/signing.json") == 0o600)
    #expect(fileMode(path) == 0o700)
    try ring.rotate(folder: path, at: start)
    #expect(fileMode(path + "/signing.json") == 0o600)
    let names = try FileManager.default.contentsOfDirectory(atPath: path)
    #expect(names.sorted() == ["secret", "signing.json"])
  }

  @Test("a new key is published at once and signs after two max-ages, to the millisecond")
  func rotation() throws {
    var ring = try openRing()
    let old = ring.signing(at: start).verifying.thumbprint
    try ring.rotate(folder: path, at: start)
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
    var ring = try openRing()
    let old = ring.signing(at: start).verifying.thumbprint
    try ring.rotate(folder: path, at: start)
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
    var ring = try openRing()
    try ring.rotate(folder: path, at: start + 1_000_000)
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
    var ring = try openRing()
    try ring.rotate(folder: path, at: start)
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
    let other = KeyRing(inMemoryAt: start, random: random.source)
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
}
