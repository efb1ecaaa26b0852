internal import CSQLite

#if canImport(Glibc)
  internal import Glibc
#endif

/// FTS5's own tokenizer, called directly, so that what is indexed and what is asked are cut alike.
///
/// Chain: `porter unicode61 remove_diacritics 2`: Unicode folding, accents removed, English stems.
public final class Tokenizer {
  private let connection: Connection
  private let methods: fts5_tokenizer
  private let instance: OpaquePointer

  /// Opens the tokenizer of a private connection.
  ///
  /// - Parameter stemmed: With Porter stems; else folded words as they are.
  /// - Throws: `SQLiteError` where this SQLite has no FTS5.
  public init(stemmed: Bool = true) throws(SQLiteError) {
    connection = try Connection(path: ":memory:", mode: .writer)
    guard let api = connection.fts5() else {
      throw SQLiteError(code: 1, message: "this SQLite has no FTS5")
    }
    var methods = fts5_tokenizer()
    var context: UnsafeMutableRawPointer?
    var instance: OpaquePointer?
    let name = stemmed ? "porter" : "unicode61"
    guard api.pointee.xFindTokenizer(api, name, &context, &methods) == SQLITE_OK else {
      throw SQLiteError(code: 1, message: "FTS5 has no tokenizer \(name)")
    }
    let arguments = stemmed ? ["unicode61", "remove_diacritics", "2"] : ["remove_diacritics", "2"]
    let status = Tokenizer.withCStrings(arguments) {
      methods.xCreate(context, $0, Int32(arguments.count), &instance)
    }
    guard status == SQLITE_OK, let instance else {
      throw SQLiteError(code: status, message: "cannot make the tokenizer")
    }
    self.methods = methods
    self.instance = instance
  }

  deinit { methods.xDelete(instance) }

  /// Hands over every token with its byte range in the text, in order.
  public func tokenize(_ text: String, _ body: (String, Range<Int>) -> Void) {
    var text = text
    // The closure lives on this frame for exactly as long as xTokenize runs, which is synchronous.
    withoutActuallyEscaping(body) { body in
      var sink = Sink(body: body)
      withUnsafeMutablePointer(to: &sink) { context in
        text.withUTF8 { utf8 in
          utf8.withMemoryRebound(to: CChar.self) { characters in
            _ = methods.xTokenize(
              instance, context, FTS5_TOKENIZE_DOCUMENT, characters.baseAddress,
              Int32(clamping: characters.count)
            ) { context, _, token, count, start, end in
              guard let context, let token else { return SQLITE_OK }
              let sink = context.assumingMemoryBound(to: Sink.self)
              let bytes = UnsafeRawBufferPointer(start: token, count: Int(count))
              sink.pointee.body(String(decoding: bytes, as: UTF8.self), Int(start)..<Int(end))
              return SQLITE_OK
            }
          }
        }
      }
    }
  }

  /// The tokens of a text in order.
  public func tokens(_ text: String) -> [String] {
    var tokens: [String] = []
    tokenize(text) { token, _ in tokens.append(token) }
    return tokens
  }

  private struct Sink {
    let body: (String, Range<Int>) -> Void
  }

  private static func withCStrings<T>(
    _ texts: [String], _ body: (UnsafeMutablePointer<UnsafePointer<CChar>?>) -> T
  ) -> T {
    let copies = texts.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    var pointers = copies.map { $0.map { UnsafePointer<CChar>($0) } }
    return body(&pointers)
  }
}

@available(*, unavailable)
extension Tokenizer: Sendable {}
