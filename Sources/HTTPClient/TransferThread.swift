internal import CCurl
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#endif

/// The one thread that drives every transfer (libcurl's multi interface). It starts with the first transfer
/// and lives as long as the process.
final class TransferThread: Sendable {
  static let shared = TransferThread()

  private struct State {
    var isStarted = false
    /// Transfers that run or wait to be taken up.
    var count = 0
    var waiting: [(request: OutboundRequest, sink: TransferSink)] = []
  }

  private struct Multi: @unchecked Sendable {
    // Safe: only the one thread uses it, but for curl_multi_wakeup, which any thread may call.
    let handle: UnsafeMutableRawPointer?
  }

  private let multi: Multi
  private let state = Mutex(State())

  private init() {
    ccurl_start()
    multi = Multi(handle: curl_multi_init())
  }

  /// Takes a transfer up, or refuses it at the limit.
  func start(_ request: OutboundRequest, _ sink: TransferSink) {
    let refusal = state.withLock { state -> TransferError? in
      guard state.count < Transfer.runningMax else { return .busy }
      if !state.isStarted {
        guard multi.handle != nil, launch() else { return .connection("no thread for transfers") }
        state.isStarted = true
      }
      state.count += 1
      state.waiting.append((request, sink))
      return nil
    }
    if let refusal { return sink.fail(refusal) }
    wake()
  }

  /// Makes the thread look for what is new: a transfer, or one that was cancelled.
  func wake() { curl_multi_wakeup(multi.handle) }

  /// A thread of the system: neither Swift's pool nor Dispatch's queues may be held by a wait for bytes.
  private func launch() -> Bool {
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { _ in
        TransferThread.shared.run()
        return nil
      }, nil)
    guard status == 0 else { return false }
    pthread_detach(thread)
    return true
  }

  private func run() {
    guard let handle = multi.handle else { return }
    var running: [UnsafeMutableRawPointer: EasyTransfer] = [:]
    while true {
      for (request, sink) in takeWaiting() { begin(request, sink, &running, handle) }
      for transfer in running.values where transfer.sink.isCancelled {
        end(transfer, CURLE_ABORTED_BY_CALLBACK, &running, handle)
      }
      var count: Int32 = 0
      curl_multi_perform(handle, &count)
      var left: Int32 = 0
      while let message = curl_multi_info_read(handle, &left) {
        guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
          let transfer = running[easy]
        else { continue }
        end(transfer, message.pointee.data.result, &running, handle)
      }
      // Ends early for bytes, for curl's own deadlines, and for `wake`.
      curl_multi_poll(handle, nil, 0, 60_000, nil)
    }
  }

  private func takeWaiting() -> [(request: OutboundRequest, sink: TransferSink)] {
    state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
  }

  private func begin(
    _ request: OutboundRequest, _ sink: TransferSink,
    _ running: inout [UnsafeMutableRawPointer: EasyTransfer], _ multi: UnsafeMutableRawPointer
  ) {
    guard let transfer = EasyTransfer(request, sink),
      curl_multi_add_handle(multi, transfer.handle) == CURLM_OK
    else {
      state.withLock { $0.count -= 1 }
      return sink.fail(.connection("no handle"))
    }
    running[transfer.handle] = transfer
  }

  private func end(
    _ transfer: EasyTransfer, _ code: CURLcode,
    _ running: inout [UnsafeMutableRawPointer: EasyTransfer], _ multi: UnsafeMutableRawPointer
  ) {
    curl_multi_remove_handle(multi, transfer.handle)
    running[transfer.handle] = nil
    state.withLock { $0.count -= 1 }
    transfer.finish(code)
  }
}

/// One curl transfer with all that it points to; made, used and freed on the thread of transfers.
private final class EasyTransfer {
  let handle: UnsafeMutableRawPointer
  let sink: TransferSink
  private let notes: TransferNotes?
  private let addresses: AddressPolicy?
  private let isPlain: Bool
  private var headers: UnsafeMutablePointer<curl_slist>?

  init?(_ request: OutboundRequest, _ sink: TransferSink) {
    guard let handle = curl_easy_init() else { return nil }
    self.handle = handle
    self.sink = sink
    notes = request.notes
    addresses = request.addresses
    isPlain = !request.url.lowercased().hasPrefix("https:")
    apply(request)
    // Unretained is sound: the thread keeps this object until the handle has left its multi handle.
    let pointer = Unmanaged.passUnretained(self).toOpaque()
    _ = ccurl_set_sink(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, pointer in
      guard let pointer, let bytes else { return 0 }
      let transfer = Unmanaged<EasyTransfer>.fromOpaque(pointer).takeUnretainedValue()
      let buffer = UnsafeRawBufferPointer(start: bytes, count: size * count)
      let status = ccurl_status(transfer.handle)
      transfer.notes?.note(retryAfterSeconds: ccurl_retry_after(transfer.handle))
      return transfer.sink.take(buffer, status: status) ? size * count : 0
    }
    _ = ccurl_set_pointer(handle, CURLOPT_WRITEDATA, pointer)
    if addresses != nil { guardAddresses(pointer) }
  }

  deinit {
    curl_easy_cleanup(handle)
    curl_slist_free_all(headers)
  }

  private func apply(_ request: OutboundRequest) {
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
    // Last: the options of a body above make it a POST.
    if request.isRead { _ = ccurl_set_long(handle, CURLOPT_HTTPGET, 1) }
    for header in request.headers {
      let isClean = !(header.name + header.value).utf8.contains { $0 < 0x20 || $0 == 0x7F }
      if isClean { headers = curl_slist_append(headers, "\(header.name): \(header.value)") }
    }
    _ = ccurl_set_headers(handle, headers)
  }

  /// Asks the policy for every address that libcurl is about to connect to, after it has resolved the name: what is
  /// checked is what is connected to, whatever the name resolves to a moment later.
  private func guardAddresses(_ pointer: UnsafeMutableRawPointer) {
    // A proxy would connect in our place, and a kept connection was let through by nobody.
    _ = ccurl_set_text(handle, CURLOPT_PROXY, "")
    _ = ccurl_set_long(handle, CURLOPT_FRESH_CONNECT, 1)
    _ = ccurl_set_long(handle, CURLOPT_FORBID_REUSE, 1)
    // A name whose servers do not answer must not hold the thread of all transfers when its time is over.
    _ = ccurl_set_long(handle, CURLOPT_QUICK_EXIT, 1)
    _ = ccurl_set_opener(handle) { pointer, _, address in
      guard let pointer, let address else { return -1 }
      let transfer = Unmanaged<EasyTransfer>.fromOpaque(pointer).takeUnretainedValue()
      guard transfer.mayConnect(to: address) else {
        transfer.notes?.noteRefusedAddress()
        return -1
      }
      return ccurl_open(address)
    }
    _ = ccurl_set_pointer(handle, CURLOPT_OPENSOCKETDATA, pointer)
  }

  private func mayConnect(to address: UnsafePointer<curl_sockaddr>) -> Bool {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = Int(ccurl_address(address, &bytes))
    return addresses?.permits(Array(bytes[..<count]), isPlain: isPlain) ?? false
  }

  /// Tells the reader how it ended.
  func finish(_ code: CURLcode) {
    notes?.note(retryAfterSeconds: ccurl_retry_after(handle))
    if let text = ccurl_header(handle, "Cache-Control") {
      notes?.note(cacheControl: String(cString: text))
    }
    if sink.isTooLarge { return sink.fail(.tooLarge) }
    switch code {
    case CURLE_OK, CURLE_ABORTED_BY_CALLBACK: sink.finish(status: ccurl_status(handle))
    case CURLE_WRITE_ERROR where sink.isCancelled: sink.finish(status: ccurl_status(handle))
    case CURLE_OPERATION_TIMEDOUT: sink.fail(.timedOut)
    default: sink.fail(.connection(String(cString: curl_easy_strerror(code))))
    }
  }
}
