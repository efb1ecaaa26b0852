import Foundation
import Primitives

/// Data to standard output, words to standard error; a closed pipe is silent.
enum Terminal {
  static func data(_ text: String) { write(text + "\n", to: 1) }
  static func words(_ text: String) { write(text + "\n", to: 2) }
  static func raw(_ text: String) { write(text, to: 1) }

  static var isErrorTerminal: Bool { isatty(2) == 1 }

  /// Overwrites one line on a terminal; silent elsewhere.
  static func progress(_ text: String) {
    if isErrorTerminal { write("\r\u{1B}[K" + text, to: 2) }
  }

  private static func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Listing text for a terminal: without control characters, which could move the cursor or worse.
  static func safe(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.filter {
          $0.value >= 0x20 && $0.value != 0x7F && !(0x80...0x9F).contains($0.value)
        }))
  }
}

/// How a command ended, as the shell sees it.
enum Exit: Int32 {
  case done = 0
  case refused = 1
  case misuse = 2
}
