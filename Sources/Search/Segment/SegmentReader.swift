internal import Primitives

/// Finds the sections of a blob and checks that each has the size that the segment needs.
struct SegmentReader {
  let blob: Blob
  let facts: JSONObject
  private let ranges: [String: Range<Int>]

  init(blob: Blob, contents: SegmentContents) {
    self.blob = blob
    facts = contents.facts
    ranges = Dictionary(
      contents.sections.map { ($0.name, $0.range) }, uniquingKeysWith: { first, _ in first })
  }

  func has(_ name: String) -> Bool { ranges[name] != nil }

  /// Where a section's bytes are in the blob.
  func range(_ name: String) -> Range<Int> { ranges[name] ?? 0..<0 }

  /// A section as elements.
  /// - Parameter count: How many elements it must have; nil takes as many as there are.
  /// - Throws: `SegmentError.damaged`.
  func view<T>(_ name: String, count: Int? = nil) throws(SegmentError) -> View<T> {
    guard let range = ranges[name], range.count % MemoryLayout<T>.stride == 0,
      count == nil || range.count == count.map({ $0 * MemoryLayout<T>.stride })
    else { throw .damaged(section: name) }
    let base = (blob.base + range.lowerBound).assumingMemoryBound(to: T.self)
    return View(base: base, count: range.count / MemoryLayout<T>.stride)
  }

  /// A table of texts.
  func texts(_ name: String, count: Int? = nil) throws(SegmentError) -> TextTable {
    let offsets: View<UInt64> = try view(name + ".offsets", count: count.map { $0 + 1 })
    let bytes: View<UInt8> = try view(name + ".bytes")
    guard offsets.count > 0, offsets[offsets.count - 1] == UInt64(bytes.count) else {
      throw .damaged(section: name)
    }
    return TextTable(offsets: offsets, bytes: bytes)
  }

  /// A view of nothing.
  func empty<T>() -> View<T> { View(base: blob.base.assumingMemoryBound(to: T.self), count: 0) }
}
