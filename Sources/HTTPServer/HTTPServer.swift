internal import CMicroHTTPD
internal import Primitives
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#endif

/// Limits of the server; each is also a setting.
public struct ServerLimits: Sendable {
  /// Connections at once.
  public var connectionsMax = 2_048
  /// Bytes of a body, whatever is admitted.
  public var bodyByteCountMax = 16 * 1024 * 1024
  /// Bytes of all bodies that are in memory at once, half of them for bodies over 64 kB; one more is refused
  /// with 503.
  public var bodiesByteCountMax = 128 * 1024 * 1024
  /// Seconds for a new connection's first head.
  public var headSeconds = 5
  /// Seconds for a body.
  public var bodySeconds = 10
  /// Seconds a kept connection may rest between requests.
  public var idleSeconds = 30
  /// Seconds running requests get when the server ends.
  public var graceSeconds = 10
  /// Seconds they get after that to notice that they were cancelled.
  public var leaveSeconds = 5

  /// The defaults.
  public init() {}
}

/// Why the server did not start.
public struct ServerError: Error, Equatable, Sendable {
  /// The host and port that were asked for.
  public let address: String
  /// The reason in words.
  public let reason: String
}

/// What becomes of a request whose head announces a body.
public enum Admission: Sendable, Equatable {
  /// The body may have so many bytes.
  case body(byteCountMax: Int)
  /// The request is refused before its body is taken, with this status and code.
  case refused(status: Int, code: String)
}

/// An HTTP/1.1 server: takes requests, runs the handler in a task each, ends gracefully.
public final class Server: Sendable {
  /// Answers one request.
  public typealias Handler = @Sendable (Request) async -> Response
  /// Says what body a request may have, from its head alone: it stands for the request with an empty body.
  /// `announced` is the body's length, or nil where it comes in chunks. It must not block.
  public typealias Gate = @Sendable (_ head: Request, _ announced: Int?) -> Admission

  /// Answers what is refused before it became a request; of its body only bytes are sent. It must not block.
  public typealias Refuse = @Sendable (_ head: Request?, _ status: Int, _ code: String) -> Response

  private let handle: Handle
  private let shared: Shared
  private let graceSeconds: Int
  private let leaveSeconds: Int

  /// Starts listening.
  ///
  /// - Parameters:
  ///   - host: A numeric address.
  ///   - port: 0 picks a free one.
  ///   - refusal: Answers what never became a request: a head that is not sound or not admitted, a body that is too
  ///     long or cannot be read. `head` stands for it with an empty body, where there is one that could be read.
  ///   - admission: Asked for each head that announces a body, before any of it takes up memory.
  /// - Throws: `ServerError` where the address cannot be had.
  public init(
    host: String, port: UInt16, limits: ServerLimits = ServerLimits(),
    refusal: @escaping Refuse,
    admission: @escaping Gate, handler: @escaping Handler
  ) throws {
    let shared = Shared(handler: handler, admission: admission, refusal: refusal)
    self.shared = shared
    graceSeconds = limits.graceSeconds
    leaveSeconds = limits.leaveSeconds
    var error = [CChar](repeating: 0, count: 128)
    let started = host.withCString { host in
      var options = wp_options()
      options.host = host
      options.port = port
      options.threads = 2
      options.connections_max = UInt32(limits.connectionsMax)
      options.body_max = limits.bodyByteCountMax
      options.bodies_max = limits.bodiesByteCountMax
      options.head_seconds = UInt32(limits.headSeconds)
      options.body_seconds = UInt32(limits.bodySeconds)
      options.idle_seconds = UInt32(limits.idleSeconds)
      // Unretained is sound: `shared` is a stored property, and `stop` ends every callback before
      // this object can go (the process keeps its server until then).
      return wp_server_start(
        &options, Server.callbacks(Unmanaged.passUnretained(shared).toOpaque()), &error, error.count
      )
    }
    guard let started else {
      let reason = String(decoding: error.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
      throw ServerError(address: "\(host):\(port)", reason: reason)
    }
    handle = Handle(pointer: started)
  }

  /// The port in use.
  public var port: UInt16 { wp_server_port(handle.pointer) }

  /// Requests being answered.
  public var activeCount: Int { Int(wp_server_active(handle.pointer)) }

  /// Ends gracefully: no new connections, running requests get the grace, then are cancelled.
  ///
  /// - Returns: Whether all have ended. Where one does not notice in time, the listener stays as it is and the
  ///   process is to end itself.
  public func stop() async -> Bool {
    wp_server_quiesce(handle.pointer)
    for _ in 0..<(graceSeconds * 20) where activeCount > 0 {
      try? await Task.sleep(for: .milliseconds(50))  // a cancelled wait only ends the grace early
    }
    shared.cancelAll()
    wp_server_abandon(handle.pointer)
    for _ in 0..<(leaveSeconds * 50) where activeCount > 0 || shared.runningCount > 0 {
      wp_server_abandon(handle.pointer)
      try? await Task.sleep(for: .milliseconds(20))  // as above
    }
    // Freed only when nobody can hold an exchange any more.
    guard activeCount == 0, shared.runningCount == 0 else { return false }
    wp_server_stop(handle.pointer)
    return true
  }

  private static func callbacks(_ context: UnsafeMutableRawPointer) -> wp_callbacks {
    wp_callbacks(
      context: context,
      admit: { context, exchange, status, code, codeSize in
        guard let context, let exchange, let status, let code else { return 0 }
        let shared = Unmanaged<Shared>.fromOpaque(context).takeUnretainedValue()
        switch shared.admit(Exchange(pointer: exchange)) {
        case .body(let byteCountMax): return byteCountMax
        case .refused(let number, let name):
          status.pointee = Int32(number)
          strncpy(code, name, codeSize - 1)
          return 0
        }
      },
      on_request: { context, exchange, id in
        guard let context, let exchange else { return }
        Unmanaged<Shared>.fromOpaque(context).takeUnretainedValue()
          .begin(Exchange(pointer: exchange), id: id)
      },
      on_close: { context, id in
        guard let context else { return }
        Unmanaged<Shared>.fromOpaque(context).takeUnretainedValue().closed(id: id)
      },
      refusal: { context, exchange, refusal, status, code in
        guard let context, let refusal, let code else { return }
        let shared = Unmanaged<Shared>.fromOpaque(context).takeUnretainedValue()
        let head = exchange.map { Exchange(pointer: $0).request() }
        let response = shared.refusal(head, Int(status), String(cString: code))
        guard case .bytes(let bytes) = response.body else { return }
        withHeaders(response.headers) {
          wp_refusal_answer(refusal, $0, $1, bytes, bytes.count)
        }
      })
  }
}

/// The C server's handle.
private struct Handle: @unchecked Sendable {
  // Safe: every function of its header may be called from any thread; the pointer itself is constant.
  let pointer: OpaquePointer
}

/// What the library's threads and the tasks share.
private final class Shared: Sendable {
  let handler: Server.Handler
  let admission: Server.Gate
  let refusal: Server.Refuse
  private let running = Mutex<[UInt64: Task<Void, Never>?]>([:])

  init(
    handler: @escaping Server.Handler, admission: @escaping Server.Gate,
    refusal: @escaping Server.Refuse
  ) {
    self.handler = handler
    self.admission = admission
    self.refusal = refusal
  }

  var runningCount: Int { running.withLock { $0.count } }

  func admit(_ exchange: Exchange) -> Admission {
    admission(exchange.request(), exchange.announced)
  }

  /// The task is owned by `running` until it ends; a close cancels it there.
  func begin(_ exchange: Exchange, id: UInt64) {
    running.withLock { $0[id] = .some(nil) }
    let task = Task {
      let request = exchange.request()
      exchange.forgetBody()
      let response = await handler(request)
      await exchange.answer(response)
      exchange.release()
      _ = running.withLock { $0.removeValue(forKey: id) }
    }
    running.withLock { running in
      // The task may have ended already, and then must not be listed again.
      if running[id] != nil { running[id] = task }
    }
  }

  func closed(id: UInt64) { running.withLock { $0[id] ?? nil }?.cancel() }

  func cancelAll() {
    for task in running.withLock({ Array($0.values) }) { task?.cancel() }
  }
}

/// One exchange of the C server, held by one task from request to release.
private struct Exchange: @unchecked Sendable {
  // Safe: the header promises thread-safe functions, and the task releases the pointer last.
  let pointer: OpaquePointer

  func request() -> Request {
    let headers = (0..<wp_exchange_header_count(pointer)).map { index in
      let header = wp_exchange_header(pointer, index)
      return (name: String(cString: header.name), value: String(cString: header.value))
    }
    var count = 0
    let bytes = wp_exchange_body(pointer, &count)
    return Request(
      method: String(cString: wp_exchange_method(pointer)),
      target: String(cString: wp_exchange_target(pointer)), headers: headers,
      body: Array(UnsafeBufferPointer(start: bytes, count: count)),
      peer: String(cString: wp_exchange_peer(pointer)))
  }

  /// The body's length as the head says it, or nil.
  var announced: Int? {
    var count = 0
    return wp_exchange_announced(pointer, &count) == 0 ? nil : count
  }

  func forgetBody() { wp_exchange_forget_body(pointer) }

  func answer(_ response: Response) async {
    switch response.body {
    case .bytes(let bytes):
      withHeaders(response.headers) {
        wp_exchange_respond(pointer, UInt32(response.status), $0, $1, bytes, bytes.count)
      }
    case .stream(let produce):
      withHeaders(response.headers) { wp_exchange_begin(pointer, UInt32(response.status), $0, $1) }
      await produce(StreamWriter { wp_exchange_write(pointer, $0, $0.count) == 0 })
      wp_exchange_end(pointer)
    }
  }

  func release() { wp_exchange_release(pointer) }
}

/// Lends headers to a function of C.
private func withHeaders(
  _ headers: [(name: String, value: String)], _ body: (UnsafePointer<wp_header>?, Int) -> Void
) {
  let copies = headers.map { (strdup($0.name), strdup($0.value)) }
  defer {
    for copy in copies {
      free(copy.0)
      free(copy.1)
    }
  }
  let list = copies.map { wp_header(name: UnsafePointer($0.0), value: UnsafePointer($0.1)) }
  list.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
}
