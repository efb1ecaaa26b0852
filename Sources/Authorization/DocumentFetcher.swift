public import HTTPClient
internal import Primitives

/// An answer that was fetched, whole.
public struct FetchedDocument: Sendable, Equatable {
  /// The HTTP status.
  public let status: Int
  /// The body.
  public let bytes: [UInt8]
  /// Seconds that its `Cache-Control` allows to keep it; nil where it says nothing.
  public let maxAgeSeconds: Int64?

  /// An answer.
  public init(status: Int, bytes: [UInt8], maxAgeSeconds: Int64? = nil) {
    self.status = status
    self.bytes = bytes
    self.maxAgeSeconds = maxAgeSeconds
  }

  /// The seconds of a `Cache-Control` (RFC 9111 section 5.2); nil where it says nothing of them.
  static func maxAge(_ cacheControl: String) -> Int64? {
    let directives = cacheControl.lowercased().split(separator: ",").map { part in
      part.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
    }
    if directives.contains(where: { $0 == "no-store" || $0.hasPrefix("no-cache") }) { return 0 }
    for directive in directives where directive.hasPrefix("max-age=") {
      let digits = directive.dropFirst(8).drop { $0 == "\"" }.prefix { $0.isNumber }
      // A number too large to read is a very long time.
      return digits.isEmpty ? nil : Int64(digits) ?? Int64.max / 2_000
    }
    return nil
  }
}

/// Sends requests to servers that others run and takes small answers whole. Redirects are not followed.
public struct DocumentFetcher: Sendable {
  private let send: @Sendable (OutboundRequest) async -> FetchedDocument?

  /// A fetcher over a closure; nil says that nothing came. Tests make theirs so.
  public init(_ send: @escaping @Sendable (OutboundRequest) async -> FetchedDocument?) {
    self.send = send
  }

  /// A fetcher through libcurl.
  ///
  /// - Parameter addresses: Where it may connect to; nil for anywhere, where the operator has named the server.
  public static func live(addresses: AddressPolicy?) -> DocumentFetcher {
    DocumentFetcher { request in
      let notes = TransferNotes()
      var request = request
      request.addresses = addresses
      request.notes = notes
      var status = 0
      var bytes: [UInt8] = []
      do {
        for try await part in Transfer.post(request) {
          switch part {
          case .status(let code): status = code
          case .bytes(let more): bytes += more
          }
        }
      } catch {
        return nil
      }
      return FetchedDocument(
        status: status, bytes: bytes, maxAgeSeconds: FetchedDocument.maxAge(notes.cacheControl))
    }
  }

  /// The document at an address, or nil where it cannot be had.
  ///
  /// - Parameter seconds: How long all of it may take.
  func get(_ url: String, byteCountMax: Int, seconds: Int = 10) async -> FetchedDocument? {
    var request = OutboundRequest(
      url: url, headers: [(name: "Accept", value: "application/json")], body: [])
    request.isRead = true
    let whole = request
    // Others wait for the same document, and remember that there was none: whoever asked first may leave, and the
    // fetch goes on to its end.
    return await Task { await run(whole, byteCountMax: byteCountMax, seconds: seconds) }.value
  }

  /// The answer to a form.
  func post(
    _ url: String, form: OAuthForm, headers: [(name: String, value: String)], byteCountMax: Int
  ) async -> FetchedDocument? {
    let all =
      headers + [
        (name: "Content-Type", value: "application/x-www-form-urlencoded"),
        (name: "Accept", value: "application/json"),
      ]
    return await run(
      OutboundRequest(url: url, headers: all, body: Array(form.encoded.utf8)),
      byteCountMax: byteCountMax, seconds: 10)
  }

  private func run(
    _ request: OutboundRequest, byteCountMax: Int, seconds: Int
  ) async -> FetchedDocument? {
    var request = request
    request.connectSeconds = min(5, seconds)
    request.idleSeconds = min(5, seconds)
    request.totalSeconds = seconds
    request.byteCountMax = byteCountMax
    return await send(request)
  }
}
