import Primitives
import Testing
import TestSupport

private enum Thing {}

private let known: [(UInt64, UInt64, String)] = [
  (0, 0, "00000000000000000000000000"),
  (0, 1, "00000000000000000000000001"),
  (0, 31, "0000000000000000000000000z"),
  (0, 32, "00000000000000000000000010"),
  (0, .max, "0000000000000fzzzzzzzzzzzz"),
  (1, 0, "0000000000000g000000000000"),
  (.max, .max, "7zzzzzzzzzzzzzzzzzzzzzzzzz"),
  // The example of the ULID specification.
  (0x0156_3E3A_B5D3_D676, 0x4C61_EFB9_9302_BD5B, "01arz3ndektsv4rrffq69g5fav"),
]

private let noIDs: [String] = [
  "",
  "0",
  "0000000000000000000000000",
  "000000000000000000000000000",
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "01arz3ndektsv4rrffq69g5faV",
  "80000000000000000000000000",
  "z0000000000000000000000000",
  "0000000000000000000000000i",
  "0000000000000000000000000l",
  "0000000000000000000000000o",
  "0000000000000000000000000u",
  "0000000000000000000000000-",
  "0000000000000000000000000 ",
  " 0000000000000000000000000",
  "000000000000000000000000\u{E9}",
  "0000000000000000000000000\u{0}",
]

@Suite("an id has one text and one order")
struct IDTests {
  @Test("an id is written in 26 digits of Crockford's base 32", arguments: known.indices)
  func writes(index: Int) {
    let (high, low, text) = known[index]
    let id = ID<Thing>(high: high, low: low)
    #expect(id.text == text)
    #expect(ID<Thing>(text) == id)
  }

  @Test("only the canonical text is an id", arguments: noIDs)
  func refuses(text: String) {
    #expect(ID<Thing>(text) == nil)
  }

  @Test("text and bytes read back as the same id", arguments: 0..<100 as Range<UInt64>)
  func roundTrips(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let id = ID<Thing>(high: random.next(), low: random.next())
    #expect(id.bytes.count == 16)
    #expect(ID<Thing>(bytes: id.bytes) == id)
    #expect(id.text.utf8.count == 26)
    #expect(ID<Thing>(id.text) == id)
  }

  @Test("ids, their texts and their bytes have the same order", arguments: 0..<100 as Range<UInt64>)
  func order(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let high = random.next()
    // Every other pair shares its first half, so that the second one decides.
    let left = ID<Thing>(high: high, low: random.next())
    let right = ID<Thing>(high: seed % 2 == 0 ? high : random.next(), low: random.next())
    #expect((left < right) == (left.text < right.text))
    #expect((left < right) == left.bytes.lexicographicallyPrecedes(right.bytes))
    #expect(Set([left, right, left]).count == 2)
  }

  @Test("bytes of another count are no id", arguments: [0, 1, 15, 17, 32])
  func refusesBytes(count: Int) {
    #expect(ID<Thing>(bytes: [UInt8](repeating: 1, count: count)) == nil)
  }

  @Test("ids sort by age, down to the millisecond", arguments: 0..<20 as Range<UInt64>)
  func age(seed: UInt64) {
    let random = RandomSource.seeded(seed)
    let start = Timestamp(milliseconds: 1_700_000_000_000)
    let ids = (0..<50).map { ID<Thing>(at: start + Int64($0), random: random) }
    #expect(ids.sorted() == ids)
    #expect(Set(ids).count == ids.count)
  }

  @Test("an id begins with the 48 bits of its moment")
  func moment() {
    let random = RandomSource.seeded(3)
    let id = ID<Thing>(at: Timestamp(milliseconds: 0x0123_4567_89AB), random: random)
    #expect(Array(id.bytes.prefix(6)) == [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB])
    let early = ID<Thing>(at: Timestamp(milliseconds: -1), random: random)
    #expect(Array(early.bytes.prefix(6)) == [0, 0, 0, 0, 0, 0])
  }

  @Test("a secret id is random from its first bit on")
  func secret() {
    let random = RandomSource.seeded(4)
    let ids = (0..<64).map { _ in ID<Thing>.secret(random) }
    #expect(Set(ids.map { $0.bytes[0] }).count > 16)
    #expect(Set(ids).count == 64)
  }
}

@Suite("random bytes come in the number asked for")
struct RandomTests {
  @Test("the system's source gives every length", arguments: [0, 1, 7, 8, 9, 16, 32, 100])
  func lengths(count: Int) {
    #expect(RandomSource.system.bytes(count).count == count)
  }

  @Test("the system's source does not repeat itself")
  func differs() {
    #expect(RandomSource.system.bytes(16) != RandomSource.system.bytes(16))
  }

  @Test("the seeded generator gives the published numbers")
  func splitMix() {
    var random = SplitMix64(seed: 1_234_567)
    let numbers = (0..<5).map { _ in random.next() }
    let expected: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
    ]
    #expect(numbers == expected)
  }
}
