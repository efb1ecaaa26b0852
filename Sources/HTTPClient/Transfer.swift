internal import CCurl
internal import Dispatch
internal import Synchronization

/// A request to another server.
public struct OutboundRequest: Sendable {
  /// Where to; http or https.
  public var url: String
  /// Names and values.
  public var headers: [(name: String, value: String)]
  /// The body of a POST.
  public var body: [UInt8]
  /// Seconds to connect.
  public var connectSeconds = 5
  /// Seconds of silence that end the transfer.
  public var idleSeconds = 20
  /// Seconds that the whole transfer may take.
  public var totalSeconds = 60
  /// Bytes of an answer that are taken.
  public var byteCountMax = 4 * 1024 * 1024

  /// A POST.
  public init(url: String, headers: [(name: String, value: String)], body: [UInt8]) {
    self.url = url
    self.headers = headers
    self.body = body
  }
}

/// A part of an answer.
public enum InboundPart: Sendable {
  /// The status, once, before the first bytes.
  case status(Int)
  /// Bytes of the body as they come.
  case bytes([UInt8])
}

/// Why a transfer ended early.
public enum TransferError: Error, Equatable, Sendable {
  /// No connection, or it broke: curl's own words, without the URL.
  case connection(String)
  /// Nothing came for too long, or the whole took too long.
  case timedOut
  /// More bytes than were allowed.
  case tooLarge
}

/// Transfers through libcurl, each on a thread of its own; cancelling the reader ends the transfer within a second.
public enum Transfer {
  /// Posts a request and gives its answer part by part.
  public static func post(_ request: OutboundRequest) -> AsyncThrowingStream<InboundPart, any Error>
  {
    AsyncThrowingStream { continuation in
      let context = Context(continuation: continuation, byteCountMax: request.byteCountMax)
      continuation.onTermination = { _ in context.cancel() }
      DispatchQueue.global().async {
        do throws(TransferError) {
          try perform(request, context)
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
    }
  }

  private static func perform(_ request: OutboundRequest, _ context: Context) throws(TransferError)
  {
    guard let easy = EasyHandle() else { throw .connection("no handle") }
    easy.apply(request)
    let code = easy.perform(context)
    if context.isTooLarge { throw .tooLarge }
    switch code {
    case CURLE_OK, CURLE_ABORTED_BY_CALLBACK: return
    case CURLE_OPERATION_TIMEDOUT: throw .timedOut
    default: throw .connection(String(cString: curl_easy_strerror(code)))
    }
  }

  /// What the callbacks share with the reader.
  fileprivate final class Context: Sendable {
    private let continuation: AsyncThrowingStream<InboundPart, any Error>.Continuation
    private let byteCountMax: Int
    private let state = Mutex((isCancelled: false, hasStatus: false, byteCount: 0))

    init(
      continuation: AsyncThrowingStream<InboundPart, any Error>.Continuation, byteCountMax: Int
    ) {
      self.continuation = continuation
      self.byteCountMax = byteCountMax
    }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }
    var isTooLarge: Bool { state.withLock { $0.byteCount > byteCountMax } }
    func cancel() { state.withLock { $0.isCancelled = true } }

    /// Hands bytes on; false ends the transfer.
    func take(_ bytes: UnsafeRawBufferPointer, status: Int) -> Bool {
      let (isFirst, goesOn) = state.withLock { state -> (Bool, Bool) in
        let isFirst = !state.hasStatus
        state.hasStatus = true
        state.byteCount += bytes.count
        return (isFirst, !state.isCancelled && state.byteCount <= byteCountMax)
      }
      if isFirst { continuation.yield(.status(status)) }
      if goesOn { continuation.yield(.bytes(Array(bytes))) }
      return goesOn
    }

    /// The status of an answer without a body.
    func finish(status: Int) {
      let isFirst = state.withLock { state in
        defer { state.hasStatus = true }
        return !state.hasStatus
      }
      if isFirst { continuation.yield(.status(status)) }
    }
  }
}

/// One curl transfer. Moves, never copies; cleaned up once.
private struct EasyHandle: ~Copyable {
  private let handle: UnsafeMutableRawPointer

  init?() {
    guard let raw = curl_easy_init() else { return nil }
    handle = raw
  }

  deinit { curl_easy_cleanup(handle) }

  func apply(_ request: OutboundRequest) {
    _ = ccurl_set_text(handle, CURLOPT_URL, request.url)
    _ = ccurl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
    _ = ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    _ = ccurl_set_long(handle, CURLOPT_FOLLOWLOCATION, 0)
    _ = ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT, request.connectSeconds)
    _ = ccurl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
    _ = ccurl_set_long(handle, CURLOPT_LOW_SPEED_TIME, request.idleSeconds)
    _ = ccurl_set_long(handle, CURLOPT_TIMEOUT, request.totalSeconds)
    _ = ccurl_set_text(handle, CURLOPT_ACCEPT_ENCODING, "identity")
    _ = ccurl_set_long(handle, CURLOPT_POSTFIELDSIZE, request.body.count)
    request.body.withUnsafeBytes { bytes in
      // COPYPOSTFIELDS copies at once, so the buffer may go.
      _ = ccurl_set_pointer(
        handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }
    var list: UnsafeMutablePointer<curl_slist>?
    for header in request.headers {
      let isClean = !(header.name + header.value).utf8.contains { $0 < 0x20 || $0 == 0x7F }
      if isClean { list = curl_slist_append(list, "\(header.name): \(header.value)") }
    }
    _ = ccurl_set_headers(handle, list)
    HeaderLists.keep(list, for: handle)
  }

  func perform(_ context: Transfer.Context) -> CURLcode {
    defer { HeaderLists.free(for: handle) }
    // Unretained is sound: `context` outlives curl_easy_perform, which is synchronous.
    let pair = CallbackPair(easy: handle, context: context)
    let pointer = Unmanaged.passUnretained(pair).toOpaque()
    _ = ccurl_set_sink(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, pointer in
      guard let pointer, let bytes else { return 0 }
      let pair = Unmanaged<CallbackPair>.fromOpaque(pointer).takeUnretainedValue()
      let buffer = UnsafeRawBufferPointer(start: bytes, count: size * count)
      return pair.context.take(buffer, status: ccurl_status(pair.easy)) ? size * count : 0
    }
    _ = ccurl_set_pointer(handle, CURLOPT_WRITEDATA, pointer)
    _ = ccurl_set_progress(handle) { pointer, _, _, _, _ in
      guard let pointer else { return 1 }
      let pair = Unmanaged<CallbackPair>.fromOpaque(pointer).takeUnretainedValue()
      return pair.context.isCancelled ? 1 : 0
    }
    _ = ccurl_set_pointer(handle, CURLOPT_XFERINFODATA, pointer)
    _ = ccurl_set_long(handle, CURLOPT_NOPROGRESS, 0)
    let code = withExtendedLifetime(pair) { curl_easy_perform(handle) }
    if code == CURLE_OK { context.finish(status: ccurl_status(handle)) }
    if code == CURLE_WRITE_ERROR, context.isCancelled { return CURLE_ABORTED_BY_CALLBACK }
    return code
  }
}

/// What a callback needs; it stays on the transfer's thread.
private final class CallbackPair {
  let easy: UnsafeMutableRawPointer
  let context: Transfer.Context

  init(easy: UnsafeMutableRawPointer, context: Transfer.Context) {
    self.easy = easy
    self.context = context
  }
}

/// Header lists must live until their transfer is over; they are freed with it.
private enum HeaderLists {
  private struct Box: @unchecked Sendable {
    // Safe: a list is only touched by the thread of its transfer; the mutex guards the dictionary.
    let list: UnsafeMutablePointer<curl_slist>?
  }

  private static let lists = Mutex<[UInt: Box]>([:])

  static func keep(_ list: UnsafeMutablePointer<curl_slist>?, for handle: UnsafeMutableRawPointer) {
    let box = Box(list: list)
    lists.withLock { $0[UInt(bitPattern: handle)] = box }
  }

  static func free(for handle: UnsafeMutableRawPointer) {
    let box = lists.withLock { $0.removeValue(forKey: UInt(bitPattern: handle)) }
    curl_slist_free_all(box?.list)
  }
}
