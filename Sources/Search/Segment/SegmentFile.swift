internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// Where a builder puts the sections of a segment: named runs of plain values, each aligned to 64 bytes.
///
/// A segment file is the sections, then a table of contents as JSON, then 24 bytes: where the table starts, how
/// long it is, and `WPSEG002`. It is written whole under another name, synced and renamed.
protocol SectionSink {
  /// Adds a section. `isStructure` says that other sections are read by its numbers, so that its sum is checked.
  mutating func add<T: BitwiseCopyable>(_ name: String, _ values: [T], isStructure: Bool) throws
}

extension SectionSink {
  mutating func add(_ name: String, _ table: TextTableBuilder) throws {
    try add(name + ".offsets", table.offsets, isStructure: true)
    try add(name + ".bytes", table.bytes, isStructure: false)
  }
}

/// The table of contents.
struct SegmentContents {
  struct Section {
    let name: String
    let range: Range<Int>
    let sum: UInt64?
  }

  static let magic: UInt64 = 0x3230_3047_4553_5057  // "WPSEG002"
  static let trailerCount = 24
  var sections: [Section] = []
  /// Free facts about the segment: revision, fingerprint, average length.
  var facts = JSONObject()

  var json: JSON {
    [
      "facts": .object(facts),
      "sections": .array(
        sections.map { section in
          var row: JSONObject = [
            "name": .string(section.name), "start": .number(section.range.lowerBound),
            "count": .number(section.range.count),
          ]
          row["sum"] = section.sum.map { .string(String($0, radix: 16)) }
          return .object(row)
        }),
    ]
  }

  /// Reads the table of a blob, or returns nil where it is none, is cut short, or a checked section was changed.
  init?(of blob: Blob) {
    guard blob.byteCount >= SegmentContents.trailerCount else { return nil }
    let trailer = blob.base + (blob.byteCount - SegmentContents.trailerCount)
    let start = trailer.loadUnaligned(as: UInt64.self)
    let count = trailer.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    let room = UInt64(blob.byteCount - SegmentContents.trailerCount)
    guard trailer.loadUnaligned(fromByteOffset: 16, as: UInt64.self) == SegmentContents.magic,
      start <= room, count == room - start
    else { return nil }
    let bytes = UnsafeRawBufferPointer(start: blob.base + Int(start), count: Int(count))
    guard let json = try? JSON.parse(Array(bytes)), let rows = json["sections"]?.array,
      let facts = json["facts"]?.object
    else { return nil }
    self.facts = facts
    for row in rows {
      guard let name = row["name"]?.string, let first = row["start"]?.int,
        let count = row["count"]?.int, first >= 0, first % 64 == 0, count >= 0,
        first <= Int64(start), count <= Int64(start) - first
      else { return nil }
      let range = Int(first)..<Int(first + count)
      let sum = row["sum"]?.string.flatMap { UInt64($0, radix: 16) }
      if let sum, sum != SegmentContents.sum(blob.base + range.lowerBound, range.count) {
        return nil
      }
      sections.append(Section(name: name, range: range, sum: sum))
    }
  }

  init() {}

  /// A sum of bytes that notices flipped and missing ones; no protection against intent. About 10 GB/s.
  static func sum(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var lanes: SIMD8<UInt64> = .init(repeating: UInt64(count) &+ 0x9E37_79B9_7F4A_7C15)
    let whole = count / 64
    for index in 0..<whole {
      let block = base.loadUnaligned(fromByteOffset: index * 64, as: SIMD8<UInt64>.self)
      lanes = (lanes ^ block) &* 0x100_0000_01B3
      lanes ^= lanes &>> 29
    }
    var sum: UInt64 = 0
    for index in 0..<8 { sum = (sum ^ lanes[index]) &* 0x100_0000_01B3 }
    for index in whole * 64..<count {
      sum = (sum ^ UInt64(base.load(fromByteOffset: index, as: UInt8.self))) &* 0x100_0000_01B3
    }
    return sum
  }
}

/// Writes sections into a file.
struct FileSink: SectionSink {
  private let descriptor: Int32
  private let path: String
  private var contents = SegmentContents()
  private var position = 0

  /// Opens `path.part`; `finish` gives it its name.
  init(path: String) throws {
    self.path = path
    descriptor = open(path + ".part", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SegmentError.unwritable(path: path) }
  }

  mutating func add<T: BitwiseCopyable>(_ name: String, _ values: [T], isStructure: Bool) throws {
    try values.withUnsafeBytes { bytes in
      let start = position
      try write(bytes)
      var sum: UInt64?
      if isStructure, let base = bytes.baseAddress {
        sum = SegmentContents.sum(base, bytes.count)
      }
      contents.sections.append(.init(name: name, range: start..<position, sum: sum))
      let padding = [UInt8](repeating: 0, count: (64 - position % 64) % 64)
      try padding.withUnsafeBytes { try write($0) }
    }
  }

  /// Writes the table, syncs, and renames.
  mutating func finish(_ facts: JSONObject) throws {
    contents.facts = facts
    let table = contents.json.bytes
    let start = position
    try table.withUnsafeBytes { try write($0) }
    let trailer = [UInt64(start), UInt64(table.count), SegmentContents.magic]
    try trailer.withUnsafeBytes { try write($0) }
    guard fsync(descriptor) == 0, close(descriptor) == 0, rename(path + ".part", path) == 0 else {
      throw SegmentError.unwritable(path: path)
    }
  }

  private mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while !rest.isEmpty {
      // One call writes at most 2 GiB.
      let count = Glibc.write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw SegmentError.unwritable(path: path) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      position += count
    }
  }
}

/// Keeps sections in memory.
struct MemorySink: SectionSink {
  private var parts: [(start: Int, bytes: [UInt8])] = []
  private(set) var contents = SegmentContents()
  private var position = 0

  mutating func add<T: BitwiseCopyable>(_ name: String, _ values: [T], isStructure: Bool) {
    let bytes = values.withUnsafeBytes { Array($0) }
    parts.append((position, bytes))
    contents.sections.append(
      .init(name: name, range: position..<position + bytes.count, sum: nil))
    position = (position + bytes.count + 63) / 64 * 64
  }

  func blob() -> Blob {
    Blob(byteCount: position) { memory in
      for part in parts {
        part.bytes.withUnsafeBytes { bytes in
          guard let base = bytes.baseAddress else { return }
          (memory + part.start).copyMemory(from: base, byteCount: bytes.count)
        }
      }
    }
  }
}

/// Why a segment file cannot be written or read.
package enum SegmentError: Error, Equatable, Sendable {
  /// The file cannot be written: no room, no right.
  case unwritable(path: String)
  /// A section is missing or has another size than the segment needs.
  case damaged(section: String)
}
