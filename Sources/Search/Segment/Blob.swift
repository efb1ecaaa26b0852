#if canImport(Glibc)
  internal import Glibc
#endif

/// The bytes of a segment: a read-only mapping of a file, or memory of its own.
final class Blob: @unchecked Sendable {
  // Safe to share: the bytes are written before init returns, never after, and freed in deinit.
  let base: UnsafeRawPointer
  let byteCount: Int
  private let isMapped: Bool

  /// Bytes of its own, zeroed and then filled by the closure; aligned to 64.
  init(byteCount: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 64), alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: max(byteCount, 64))
    fill(memory)
    base = UnsafeRawPointer(memory)
    self.byteCount = byteCount
    isMapped = false
  }

  /// Maps a file read-only, or returns nil where that is not possible.
  init?(path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 0,
      let mapped = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0),
      mapped != MAP_FAILED
    else { return nil }
    base = UnsafeRawPointer(mapped)
    byteCount = Int(status.st_size)
    isMapped = true
  }

  deinit {
    let memory = UnsafeMutableRawPointer(mutating: base)
    if isMapped { munmap(memory, byteCount) } else { memory.deallocate() }
  }

  /// Says that pages will be read here and there, so that the kernel reads no neighbours ahead.
  func expectScatteredReads(_ range: Range<Int>) {
    guard isMapped else { return }
    let page = 4_096
    let start = range.lowerBound / page * page
    madvise(UnsafeMutableRawPointer(mutating: base + start), range.upperBound - start, MADV_RANDOM)
  }
}

/// Elements inside a blob. Whoever keeps a view keeps the blob as well: every owner of views has it in a property.
struct View<Element: BitwiseCopyable>: @unchecked Sendable {
  // Safe to share: it points into immutable bytes.
  let base: UnsafePointer<Element>
  let count: Int

  @inline(__always) subscript(index: Int) -> Element {
    assert(index >= 0 && index < count)
    return base[index]
  }

  var buffer: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }
}

/// Texts one behind the other, with where each starts.
struct TextTable: Sendable {
  /// `count + 1` offsets into `bytes`.
  let offsets: View<UInt64>
  let bytes: View<UInt8>

  var count: Int { offsets.count - 1 }

  /// The bytes of a text; valid as long as the segment is.
  @inline(__always) func span(_ index: Int) -> UnsafeBufferPointer<UInt8> {
    let start = Int(offsets[index])
    return UnsafeBufferPointer(start: bytes.base + start, count: Int(offsets[index + 1]) - start)
  }

  func text(_ index: Int) -> String { String(decoding: span(index), as: UTF8.self) }

  /// In a table that is sorted by bytes: the first text that is not below the key.
  func firstIndex(atLeast key: UnsafeBufferPointer<UInt8>) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if TextTable.precedes(span(middle), key) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// In a table that is sorted by bytes: the place of a text, or nil.
  func index(of key: String) -> Int? {
    var key = key
    return key.withUTF8 { key in
      let place = firstIndex(atLeast: key)
      return place < count && span(place).elementsEqual(key) ? place : nil
    }
  }

  /// In a table that is sorted by bytes: the texts that start with a prefix.
  func range(prefix: String) -> Range<Int> {
    var prefix = prefix
    return prefix.withUTF8 { prefix in
      let start = firstIndex(atLeast: prefix)
      var low = start
      var high = count
      while low < high {
        let middle = (low + high) / 2
        if span(middle).starts(with: prefix) { low = middle + 1 } else { high = middle }
      }
      return start..<low
    }
  }

  /// Whether one text comes before another, by bytes.
  static func precedes(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>)
    -> Bool
  {
    let common = min(left.count, right.count)
    if common > 0, let a = left.baseAddress, let b = right.baseAddress {
      let order = memcmp(a, b, common)
      if order != 0 { return order < 0 }
    }
    return left.count < right.count
  }
}

/// Where each text of a table is, by hash: one probe or two in place of a search through the table.
struct TextHashes: Sendable {
  let table: TextTable
  /// A power of two of slots, each the place of a text and one, or 0; the next slot where one is taken.
  let slots: View<UInt32>

  func index(of key: String) -> Int? {
    guard slots.count > 0 else { return nil }
    var key = key
    return key.withUTF8 { key in
      var slot = Int(truncatingIfNeeded: TextHashes.hash(key)) & (slots.count - 1)
      while slots[slot] != 0 {
        let place = Int(slots[slot]) - 1
        let found = table.span(place)
        if found.count == key.count, found.elementsEqual(key) { return place }
        slot = (slot + 1) & (slots.count - 1)
      }
      return nil
    }
  }

  /// The slots of texts, at most half of them taken.
  static func slots(of table: TextTableBuilder) -> [UInt32] {
    guard table.count > 0 else { return [] }
    var count = 4
    while count < 2 * table.count { count *= 2 }
    var slots = [UInt32](repeating: 0, count: count)
    table.bytes.withUnsafeBufferPointer { bytes in
      for place in 0..<table.count {
        let range = Int(table.offsets[place])..<Int(table.offsets[place + 1])
        let text = UnsafeBufferPointer(rebasing: bytes[range])
        var slot = Int(truncatingIfNeeded: hash(text)) & (count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (count - 1) }
        slots[slot] = UInt32(place + 1)
      }
    }
    return slots
  }

  /// FNV-1a with a last mix, for the low bits choose the slot.
  private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash ^ (hash >> 32)
  }
}

/// Collects texts for a table.
struct TextTableBuilder {
  private(set) var offsets: [UInt64] = [0]
  private(set) var bytes: [UInt8] = []

  var count: Int { offsets.count - 1 }

  mutating func append(_ text: some Sequence<UInt8>) {
    bytes.append(contentsOf: text)
    offsets.append(UInt64(bytes.count))
  }

  /// A table of texts in their order by bytes, and the order: `order[place]` is the number a text had.
  static func sorted(_ texts: [String]) -> (table: TextTableBuilder, order: [Int]) {
    let order = texts.indices.sorted { TextTableBuilder.precedes(texts[$0], texts[$1]) }
    var table = TextTableBuilder()
    for index in order { table.append(texts[index].utf8) }
    return (table, order)
  }

  /// Whether one string comes before another, by bytes.
  static func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}
