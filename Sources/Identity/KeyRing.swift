public import Cryptography
public import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// The signing keys and the server's secret, in files of mode 0600 beside the record.
///
/// A new key is published at once and signs from `activeFrom` on, so that a verifier which caches the key set
/// for its max-age never meets a key that it does not know (specification core, 6.2).
public struct KeyRing: Sendable {
  /// Seconds that others may cache the key set.
  public static let maxAgeSeconds: Int64 = 300
  /// Seconds that a token may live: the longest session and its grace.
  public static let tokenLifeSeconds: Int64 = 180 * 60 + 300

  /// One key.
  public struct Entry: Sendable {
    /// The key.
    public let key: SigningKey
    /// From when on it signs.
    public let activeFrom: Timestamp
    /// Its id: the thumbprint.
    public var id: String { key.verifying.thumbprint }
  }

  /// All keys, oldest first.
  public private(set) var entries: [Entry]
  private let secret: [UInt8]

  /// Reads the files of a folder, or makes them with a first key that signs at once.
  public init(folder: String, at now: Timestamp, random: RandomSource) throws {
    mkdir(folder, 0o700)
    if let bytes = try KeyRing.read(folder + "/secret") {
      // Never replaced: what it has sealed and signed would be lost.
      guard bytes.count == 32 else {
        throw Refusal(.internal, "The file of the server's secret is damaged.")
      }
      secret = bytes
    } else {
      secret = random.bytes(32)
      try KeyRing.write(secret, to: folder + "/secret")
    }
    entries = try KeyRing.load(folder)
    if entries.isEmpty { try add(to: folder, activeFrom: now) }
  }

  /// A ring of one key that lives in memory only.
  public init(inMemoryAt now: Timestamp, random: RandomSource) {
    secret = random.bytes(32)
    entries = [Entry(key: SigningKey(), activeFrom: now)]
  }

  /// A 32-byte key of the server for one purpose.
  public func derived(for purpose: String) -> [UInt8] {
    Digest.hmac(key: secret, Array(purpose.utf8))
  }

  /// The key that signs now: the newest that is active.
  public func signing(at now: Timestamp) -> SigningKey {
    let active = entries.filter { $0.activeFrom <= now }
    return (active.last ?? entries[0]).key
  }

  /// The public key of an id, or nil where there is none or it is past its last use.
  public func verifying(_ id: String, at now: Timestamp) -> VerifyingKey? {
    published(at: now).first { $0.id == id }?.key.verifying
  }

  /// The key set that others may read (RFC 7517): public parts only.
  public func jwks(at now: Timestamp) -> JSON {
    ["keys": .array(published(at: now).map(\.key.verifying.jwk))]
  }

  /// Adds a key that signs after two max-ages; the present one keeps signing until then.
  public mutating func rotate(folder: String, at now: Timestamp) throws {
    try add(to: folder, activeFrom: now + 2 * KeyRing.maxAgeSeconds * 1_000)
  }

  private func published(at now: Timestamp) -> [Entry] {
    entries.enumerated().filter { index, _ in
      // A key may go when its successor has signed for the longest life of a token and two max-ages.
      let successor = index + 1 < entries.count ? entries[index + 1].activeFrom : nil
      let keepSeconds = KeyRing.tokenLifeSeconds + 2 * KeyRing.maxAgeSeconds
      return successor.map { now < $0 + keepSeconds * 1_000 } ?? true
    }.map(\.element)
  }

  private mutating func add(to folder: String, activeFrom: Timestamp) throws {
    let entry = Entry(key: SigningKey(), activeFrom: activeFrom)
    entries.append(entry)
    let lines = entries.map { entry -> JSON in
      [
        "kid": .string(entry.id), "activeFrom": .int(entry.activeFrom.milliseconds),
        "der": .string(BytesText.base64url(entry.key.der)),
      ]
    }
    try KeyRing.write(JSON.object(["keys": .array(lines)]).bytes, to: folder + "/signing.json")
  }

  private static func load(_ folder: String) throws -> [Entry] {
    guard let bytes = try read(folder + "/signing.json") else { return [] }
    let rows = try JSON.parse(bytes)["keys"]?.array ?? []
    return try rows.map { row in
      guard let der = row["der"]?.string.flatMap({ BytesText.bytes(base64url: $0) }),
        let key = SigningKey(der: der), let from = row["activeFrom"]?.int
      else { throw Refusal(.internal, "The file of signing keys is damaged.") }
      return Entry(key: key, activeFrom: Timestamp(milliseconds: from))
    }
  }

  /// The whole file, or nil where there is none; anything else in the way must not look like a first start.
  private static func read(_ path: String) throws -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else {
      throw Refusal(.storageUnavailable, "The folder of keys cannot be read.")
    }
    defer { close(descriptor) }
    var block = [UInt8](repeating: 0, count: 65_536)
    let count = Glibc.read(descriptor, &block, block.count)
    guard count >= 0 else {
      throw Refusal(.storageUnavailable, "The folder of keys cannot be read.")
    }
    return Array(block[..<count])
  }

  /// Writes beside, syncs, renames: the file is the old one or the new one, never half.
  private static func write(_ bytes: [UInt8], to path: String) throws {
    let fresh = path + ".new"
    unlink(fresh)  // one that a crash left keeps its own mode
    let descriptor = open(fresh, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Refusal(.storageUnavailable, "The folder of keys cannot be written.")
    }
    let isWritten =
      Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
    close(descriptor)
    guard isWritten, rename(fresh, path) == 0 else {
      throw Refusal(.storageUnavailable, "The folder of keys cannot be written.")
    }
  }
}
