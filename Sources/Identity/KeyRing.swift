public import Cryptography
public import Primitives
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#endif

/// The signing keys and the server's secret, in files of mode 0600 beside the record. One for the process.
///
/// A new key is published at once and signs from `activeFrom` on, so that a verifier which caches the key set
/// for its max-age never meets a key that it does not know (specification core, 6.2).
public final class KeyRing: Sendable {
  /// Seconds that others may cache the key set.
  public static let maxAgeSeconds: Int64 = 300
  /// Seconds that a token may live: the longest session and its grace.
  public static let tokenLifeSeconds: Int64 = 180 * 60 + 300
  /// How long a key signs before the next one takes over, in milliseconds: 90 days.
  public static let rotationMilliseconds: Int64 = 90 * 86_400_000
  /// From its publication until a key may sign, in milliseconds: two max-ages.
  public static let noticeMilliseconds: Int64 = 2 * maxAgeSeconds * 1_000

  /// One key.
  public struct Entry: Sendable {
    /// The key.
    public let key: SigningKey
    /// From when on it signs.
    public let activeFrom: Timestamp
    /// Its id: the thumbprint.
    public let id: String

    init(key: SigningKey, activeFrom: Timestamp) {
      self.key = key
      self.activeFrom = activeFrom
      id = key.verifying.thumbprint
    }
  }

  private let state: Mutex<[Entry]>
  private let folder: String?
  private let secret: [UInt8]

  /// All keys, the one that signs first in front.
  public var entries: [Entry] { state.withLock { $0 } }

  /// Reads the files of a folder, or makes them with a first key that signs at once.
  /// - Throws: `Refusal` `storage_unavailable` where other users of the machine may read them or replace them.
  public init(folder: String, at now: Timestamp, random: RandomSource) throws {
    mkdir(folder, 0o700)
    try PrivateFile.requireOwn(folder: folder)
    if let bytes = try PrivateFile.read(folder + "/secret") {
      // Never replaced: what it has sealed and signed would be lost.
      guard bytes.count == 32 else {
        throw Refusal(.internal, "The file of the server's secret is damaged.")
      }
      secret = bytes
    } else {
      secret = random.bytes(32)
      try PrivateFile.write(secret, to: folder + "/secret")
    }
    self.folder = folder
    let known = try KeyRing.load(folder)
    state = Mutex(known)
    if !known.contains(where: { $0.key.algorithm == .es256 }) {
      try change { $0.append(Entry(key: SigningKey(), activeFrom: now)) }
    }
  }

  /// A ring of one key that lives in memory only.
  public init(inMemoryAt now: Timestamp, random: RandomSource) {
    secret = random.bytes(32)
    folder = nil
    state = Mutex([Entry(key: SigningKey(), activeFrom: now)])
  }

  /// A 32-byte key of the server for one purpose.
  public func derived(for purpose: String) -> [UInt8] {
    Digest.hmac(key: secret, Array(purpose.utf8))
  }

  /// The key that signs now: the newest of the algorithm that is active. Where there is none of it yet, the one
  /// for ES256, which is always there.
  public func signing(at now: Timestamp, algorithm: SigningAlgorithm = .es256) -> SigningKey {
    let all = entries
    let active = all.filter { $0.activeFrom <= now }
    let chosen = active.last { $0.key.algorithm == algorithm }
    return (chosen ?? active.last { $0.key.algorithm == .es256 } ?? all[0]).key
  }

  /// The public key of an id, or nil where there is none or it is past its last use.
  public func verifying(_ id: String, at now: Timestamp) -> VerifyingKey? {
    KeyRing.published(entries, at: now).first { $0.id == id }?.key.verifying
  }

  /// The key set that others may read (RFC 7517): public parts only.
  public func jwks(at now: Timestamp) -> JSON {
    ["keys": .array(KeyRing.published(entries, at: now).map(\.key.verifying.jwk))]
  }

  /// Publishes a key that signs after two max-ages; the present one keeps signing until then. Where one waits
  /// already, it is that one: repeating a rotation changes nothing.
  @discardableResult
  public func rotate(_ algorithm: SigningAlgorithm = .es256, at now: Timestamp) throws -> Entry {
    if let waiting = waiting(algorithm, at: now) { return waiting }
    // Made outside the lock: an RSA key takes a tenth of a second.
    let fresh = Entry(
      key: SigningKey(algorithm), activeFrom: now + KeyRing.noticeMilliseconds)
    return try change { entries in
      if let other = entries.last(where: {
        $0.key.algorithm == algorithm && $0.activeFrom > now
      }) {
        return other
      }
      entries = KeyRing.published(entries, at: now) + [fresh]
      return fresh
    }
  }

  /// When a key of the algorithm signs, or began to; makes one where there is none.
  public func prepare(_ algorithm: SigningAlgorithm, at now: Timestamp) throws -> Timestamp {
    if let first = entries.first(where: { $0.key.algorithm == algorithm }) {
      return first.activeFrom
    }
    return try rotate(algorithm, at: now).activeFrom
  }

  /// Takes a key away at once: what it signed is refused from now on. Where it was the one that signs, the next
  /// one does from now on, or a new one that verifiers learn of only when they read the key set again.
  /// - Throws: `Refusal` `not_found`.
  public func remove(_ id: String, at now: Timestamp) throws {
    guard let doomed = entries.first(where: { $0.id == id }) else {
      throw Refusal(.notFound, "There is no such signing key.")
    }
    let algorithm = doomed.key.algorithm
    let spare = SigningKey(algorithm)
    try change { entries in
      entries.removeAll { $0.id == id }
      func isOurs(_ entry: Entry) -> Bool { entry.key.algorithm == algorithm }
      guard !entries.contains(where: { isOurs($0) && $0.activeFrom <= now }) else { return }
      if let next = entries.firstIndex(where: isOurs) {
        entries[next] = Entry(key: entries[next].key, activeFrom: now)
      } else {
        entries.append(Entry(key: spare, activeFrom: now))
      }
      entries.sort { $0.activeFrom < $1.activeFrom }
    }
  }

  /// The algorithms whose next key is to be published now, by `rotate`, in time for the 90 days of the present one.
  public func due(at now: Timestamp) -> [SigningAlgorithm] {
    SigningAlgorithm.allCases.filter { algorithm in
      guard let newest = entries.last(where: { $0.key.algorithm == algorithm }) else {
        return false
      }
      return now - newest.activeFrom >= KeyRing.rotationMilliseconds - KeyRing.noticeMilliseconds
    }
  }

  /// Forgets keys past their last use.
  public func forget(at now: Timestamp) throws {
    guard KeyRing.published(entries, at: now).count < entries.count else { return }
    try change { $0 = KeyRing.published($0, at: now) }
  }

  private func waiting(_ algorithm: SigningAlgorithm, at now: Timestamp) -> Entry? {
    entries.last { $0.key.algorithm == algorithm && $0.activeFrom > now }
  }

  private static func published(_ entries: [Entry], at now: Timestamp) -> [Entry] {
    entries.enumerated().filter { index, entry in
      // A key may go when its successor has signed for the longest life of a token and two max-ages.
      let successor = entries[(index + 1)...].first { $0.key.algorithm == entry.key.algorithm }
      let keepSeconds = tokenLifeSeconds + 2 * maxAgeSeconds
      return successor.map { now < $0.activeFrom + keepSeconds * 1_000 } ?? true
    }.map(\.element)
  }

  /// Changes the keys; the file is written before anybody sees the change.
  private func change<T: Sendable>(_ body: (inout sending [Entry]) throws -> T) throws -> T {
    try state.withLock { state in
      var entries = state
      let result = try body(&entries)
      if let folder { try KeyRing.save(entries, to: folder) }
      state = entries
      return result
    }
  }

  private static func save(_ entries: [Entry], to folder: String) throws {
    let lines = entries.map { entry -> JSON in
      [
        "kid": .string(entry.id), "activeFrom": .int(entry.activeFrom.milliseconds),
        "der": .string(BytesText.base64url(entry.key.der)),
      ]
    }
    try PrivateFile.write(JSON.object(["keys": .array(lines)]).bytes, to: folder + "/signing.json")
  }

  private static func load(_ folder: String) throws -> [Entry] {
    guard let bytes = try PrivateFile.read(folder + "/signing.json") else { return [] }
    let rows = try JSON.parse(bytes)["keys"]?.array ?? []
    return try rows.map { row in
      guard let der = row["der"]?.string.flatMap({ BytesText.bytes(base64url: $0) }),
        let key = SigningKey(der: der), let from = row["activeFrom"]?.int
      else { throw Refusal(.internal, "The file of signing keys is damaged.") }
      return Entry(key: key, activeFrom: Timestamp(milliseconds: from))
    }
  }
}
