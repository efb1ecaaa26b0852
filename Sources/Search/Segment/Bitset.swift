/// A set of small integers as bits; the unit of every filter.
package struct Bitset: Sendable, Equatable {
  /// How many integers there can be: 0..<count.
  package let count: Int
  private(set) var words: [UInt64]

  /// The empty set, or the full one.
  package init(count: Int, filled: Bool = false) {
    self.count = count
    words = [UInt64](repeating: filled ? ~0 : 0, count: (count + 63) / 64)
    if filled, count % 64 != 0, let last = words.indices.last {
      words[last] = (1 << UInt64(count % 64)) - 1
    }
  }

  /// The set with the given words; bits past `count` must be 0.
  init(count: Int, words: UnsafeBufferPointer<UInt64>) {
    self.count = count
    self.words = Array(words)
  }

  /// The integers for which a condition holds.
  @inline(__always)
  init(count: Int, _ holds: (Int) -> Bool) {
    self.count = count
    words = [UInt64](unsafeUninitializedCapacity: (count + 63) / 64) { buffer, filled in
      for place in 0..<(count + 63) / 64 {
        var word: UInt64 = 0
        for bit in 0..<min(64, count - place * 64) where holds(place * 64 + bit) {
          word |= 1 << UInt64(bit)
        }
        buffer[place] = word
      }
      filled = (count + 63) / 64
    }
  }

  package subscript(index: Int) -> Bool {
    get { words[index >> 6] >> UInt64(index & 63) & 1 == 1 }
    set {
      if newValue {
        words[index >> 6] |= 1 << UInt64(index & 63)
      } else {
        words[index >> 6] &= ~(1 << UInt64(index & 63))
      }
    }
  }

  package mutating func insert(_ index: Int) { words[index >> 6] |= 1 << UInt64(index & 63) }

  /// How many integers are in the set.
  package var population: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  package mutating func formIntersection(_ other: Bitset) {
    for index in words.indices { words[index] &= other.words[index] }
  }
  package mutating func formUnion(_ other: Bitset) {
    for index in words.indices { words[index] |= other.words[index] }
  }
  package mutating func subtract(_ other: Bitset) {
    for index in words.indices { words[index] &= ~other.words[index] }
  }
  var isEmpty: Bool { !words.contains { $0 != 0 } }
  package func intersection(_ other: Bitset) -> Bitset {
    var result = self
    result.formIntersection(other)
    return result
  }
  package func union(_ other: Bitset) -> Bitset {
    var result = self
    result.formUnion(other)
    return result
  }

  /// The integers of the set, rising.
  var integers: [UInt32] {
    [UInt32](unsafeUninitializedCapacity: population) { buffer, filled in
      forEach {
        buffer[filled] = UInt32($0)
        filled += 1
      }
    }
  }

  /// Calls the body with each integer of the set, rising.
  @inline(__always)
  package func forEach(_ body: (Int) -> Void) {
    for (index, word) in words.enumerated() where word != 0 {
      var rest = word
      while rest != 0 {
        body(index << 6 + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
  }
}
