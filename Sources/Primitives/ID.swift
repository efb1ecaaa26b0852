/// A 128-bit identifier of one kind of thing: 48 bits of milliseconds, then 80 random bits, so that ids sort by age.
///
/// In text it is 26 lower-case letters and digits of Crockford's base 32, as in a ULID.
public struct ID<Kind>: Hashable, Sendable, Comparable {
  /// The first 8 bytes, big-endian.
  package let high: UInt64
  /// The last 8 bytes, big-endian.
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An id from exactly 16 bytes, or nil.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
    low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A new id of this moment.
  public init(at time: Timestamp, random: RandomSource) {
    let noise = random.bytes(10)
    let milliseconds = UInt64(clamping: time.milliseconds) & 0xFFFF_FFFF_FFFF
    high = milliseconds << 16 | UInt64(noise[0]) << 8 | UInt64(noise[1])
    low = noise[2...].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The 16 bytes, as the record stores them.
  public var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
      for index in 0..<8 {
        let shift = UInt64(56 - 8 * index)
        buffer[index] = UInt8(truncatingIfNeeded: high >> shift)
        buffer[8 + index] = UInt8(truncatingIfNeeded: low >> shift)
      }
      count = 16
    }
  }

  /// Reads the text form, or nil. Only the canonical lower-case form is an id, so an id has one text.
  public init?(_ text: String) {
    guard text.utf8.count == 26 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for (index, byte) in text.utf8.enumerated() {
      guard let digit = ID.alphabet.firstIndex(of: byte) else { return nil }
      if index == 0, digit > 7 { return nil }
      high = high << 5 | low >> 59
      low = low << 5 | UInt64(digit)
    }
    self.init(high: high, low: low)
  }

  /// The text form.
  public var text: String {
    var digits: [UInt8] = []
    for index in 0..<26 {
      let shift = 125 - 5 * index
      let value =
        shift >= 64
        ? high >> UInt64(shift - 64)
        : shift == 0 ? low : low >> UInt64(shift) | (shift > 59 ? high << UInt64(64 - shift) : 0)
      digits.append(ID.alphabet[Int(value & 31)])
    }
    return String(decoding: digits, as: UTF8.self)
  }

  /// Orders by age, then by noise.
  public static func < (left: ID, right: ID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  private static var alphabet: [UInt8] { Array("0123456789abcdefghjkmnpqrstvwxyz".utf8) }
}

/// Where random bytes come from: the operating system in production, a seed in tests.
public struct RandomSource: Sendable {
  private let fill: @Sendable (Int) -> [UInt8]

  /// A source that asks the closure for that many bytes.
  public init(_ fill: @escaping @Sendable (Int) -> [UInt8]) { self.fill = fill }

  /// That many random bytes.
  public func bytes(_ count: Int) -> [UInt8] { fill(count) }

  /// The operating system's generator.
  public static let system = RandomSource { count in
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    while bytes.count < count {
      let word = generator.next()
      for shift in stride(from: 0, to: 64, by: 8) where bytes.count < count {
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    return bytes
  }
}

/// A small seeded generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
/// For reproducible choices, never for secrets.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// The generator of this seed.
  public init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}

extension ID {
  /// An id of 128 random bits, for what must not be guessed.
  public static func secret(_ random: RandomSource) -> ID {
    let bytes = random.bytes(16)
    return ID(
      high: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) },
      low: bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
  }
}
