#if canImport(Glibc)
  internal import Glibc
#endif

/// Small files as text.
enum TextFile {
  /// The whole file as UTF-8, or nil where it cannot be read.
  static func read(_ path: String) -> String? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&block, 1, block.count, file)
      if count == 0 { return String(validating: bytes, as: UTF8.self) }
      bytes.append(contentsOf: block[..<count])
    }
  }
}
