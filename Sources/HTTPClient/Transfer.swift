internal import Synchronization

/// A request to another server.
public struct OutboundRequest: Sendable {
  /// Where to; http or https.
  public var url: String
  /// Names and values.
  public var headers: [(name: String, value: String)]
  /// The body of a POST.
  public var body: [UInt8]
  /// Whether it is a GET, without the body.
  public var isRead = false
  /// Seconds to connect.
  public var connectSeconds = 5
  /// Seconds of silence that end the transfer.
  public var idleSeconds = 20
  /// Seconds that the whole transfer may take.
  public var totalSeconds = 60
  /// Bytes of an answer that are taken.
  public var byteCountMax = 4 * 1024 * 1024
  /// Which addresses the transfer may connect to; nil for any. With one, no proxy is used and no connection of
  /// another transfer, and http goes to loopback only.
  public var addresses: AddressPolicy?
  /// Filled while the transfer runs, where the caller wants to know more than the bytes.
  public var notes: TransferNotes?

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

/// What a transfer found beside its bytes. Whole when its stream has ended.
public final class TransferNotes: Sendable {
  private struct State {
    var retryAfterSeconds: Int?
    var cacheControl = ""
    var isAddressRefused = false
  }

  private let state = Mutex(State())

  /// Notes of a transfer that has not begun.
  public init() {}

  /// Seconds that the answer's `Retry-After` asks for, where it has one.
  public var retryAfterSeconds: Int? { state.withLock { $0.retryAfterSeconds } }
  /// The answer's `Cache-Control`, empty where it has none.
  public var cacheControl: String { state.withLock { $0.cacheControl } }
  /// Whether an address of the host was one that the transfer may not connect to.
  public var isAddressRefused: Bool { state.withLock { $0.isAddressRefused } }

  func note(retryAfterSeconds seconds: Int) {
    if seconds > 0 { state.withLock { $0.retryAfterSeconds = seconds } }
  }

  func note(cacheControl text: String) { state.withLock { $0.cacheControl = text } }

  func noteRefusedAddress() { state.withLock { $0.isAddressRefused = true } }
}

/// Why a transfer ended early.
public enum TransferError: Error, Equatable, Sendable {
  /// No connection, or it broke: curl's own words, without the URL.
  case connection(String)
  /// Nothing came for too long, or the whole took too long.
  case timedOut
  /// More bytes than were allowed.
  case tooLarge
  /// As many transfers as are allowed at once run already.
  case busy
}

/// Transfers through libcurl, all on one thread of their own: one that waits holds no thread of the process.
/// Cancelling the reader ends its transfer at once.
public enum Transfer {
  /// Transfers at once, in the whole process; one more is refused with `TransferError.busy`.
  public static let runningMax = 128

  /// Posts a request and gives its answer part by part.
  public static func post(_ request: OutboundRequest) -> AsyncThrowingStream<InboundPart, any Error>
  {
    AsyncThrowingStream { continuation in
      let sink = TransferSink(continuation: continuation, byteCountMax: request.byteCountMax)
      continuation.onTermination = { _ in
        sink.cancel()
        TransferThread.shared.wake()
      }
      TransferThread.shared.start(request, sink)
    }
  }
}

/// Where the bytes of one transfer go; shared by its reader and the thread of transfers.
final class TransferSink: Sendable {
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

  /// Ends well; an answer without a body has its status only here.
  func finish(status: Int) {
    let isFirst = state.withLock { state in
      defer { state.hasStatus = true }
      return !state.hasStatus
    }
    if isFirst { continuation.yield(.status(status)) }
    continuation.finish()
  }

  func fail(_ error: TransferError) { continuation.finish(throwing: error) }
}
