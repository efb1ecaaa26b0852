internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// A memory-mapped safetensors file: an 8-byte header length, a JSON header, then the data.
final class WeightFile: @unchecked Sendable {
  // Safe to share: mapped read-only in init, unmapped in deinit, never written in between.
  private let base: UnsafeRawPointer
  private let byteCount: Int
  private let dataStart: Int
  private let tensors: [String: (shape: [Int], range: Range<Int>)]

  /// Maps a file.
  /// - Throws: `ModelError.damaged` where it is no fp32 safetensors file.
  init(path: String) throws(ModelError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .missing(file: "model.safetensors") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size > 8,
      let mapped = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0),
      mapped != MAP_FAILED
    else { throw .damaged(reason: "the file cannot be mapped") }
    let size = Int(status.st_size)
    guard let header = WeightFile.header(mapped, byteCount: size) else {
      munmap(mapped, size)
      throw .damaged(reason: "the header is no safetensors header")
    }
    base = UnsafeRawPointer(mapped)
    byteCount = size
    (dataStart, tensors) = header
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }

  /// A tensor's floats, valid as long as this object lives.
  func tensor(_ name: String, shape: [Int]) throws(ModelError) -> UnsafePointer<Float> {
    guard let entry = tensors[name], entry.shape == shape,
      entry.range.count == shape.reduce(4, *)
    else { throw .damaged(reason: "tensor \(name) is missing or of another shape") }
    return (base + dataStart + entry.range.lowerBound).assumingMemoryBound(to: Float.self)
  }

  /// Gives the memory under a tensor back to the system; its next reader brings it back from the file.
  func release(_ name: String) {
    guard let range = tensors[name]?.range else { return }
    // Whole pages only: the tensors at both ends share theirs with others.
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = (dataStart + range.lowerBound + page - 1) / page * page
    let end = (dataStart + range.upperBound) / page * page
    guard start < end else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }

  private static func header(
    _ base: UnsafeMutableRawPointer, byteCount: Int
  ) -> (Int, [String: (shape: [Int], range: Range<Int>)])? {
    let length = UInt64(littleEndian: base.loadUnaligned(as: UInt64.self))
    guard length < 1_000_000, 8 + Int(length) <= byteCount else { return nil }
    let bytes = Array(UnsafeRawBufferPointer(start: base + 8, count: Int(length)))
    guard let object = (try? JSON.parse(bytes))?.object else { return nil }
    let start = 8 + Int(length)
    guard start % 4 == 0 else { return nil }
    var tensors: [String: (shape: [Int], range: Range<Int>)] = [:]
    for member in object.members where member.key != "__metadata__" {
      guard member.value["dtype"] == "F32" else { continue }
      let offsets = (member.value["data_offsets"]?.array ?? []).compactMap(\.int).map(Int.init)
      let shape = (member.value["shape"]?.array ?? []).compactMap(\.int).map(Int.init)
      guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1],
        start + offsets[1] <= byteCount, offsets[0] % 4 == 0
      else { return nil }
      tensors[member.key] = (shape, offsets[0]..<offsets[1])
    }
    return (start, tensors)
  }
}

/// Why the embedding model cannot be used.
public enum ModelError: Error, Equatable, Sendable {
  /// A file of the model is not there; `make model` fetches it.
  case missing(file: String)
  /// A file is not what its manifest says.
  case damaged(reason: String)
}
