import Foundation
import Primitives
import Search

/// A request of the load.
struct BenchRequest: Sendable {
  let method: String
  let path: String
  let body: [UInt8]
  var token: String?
}

/// The searches of a load, by number: each text once, so that no query's vector is known before.
struct BenchRequests: Sendable {
  let needs: [String]
  private let words: [String]

  init(needs: [String]) {
    self.needs = needs
    var words: Set<String> = []
    for need in needs {
      for word in need.split(whereSeparator: { !$0.isLetter }) where word.count > 3 {
        words.insert(word.lowercased())
      }
    }
    self.words = words.sorted()
  }

  /// How many different ones there are.
  var count: Int { needs.count * (words.count + 1) }

  /// The text of a search: the needs as they are, then each with another word behind it.
  func text(_ number: Int) -> String {
    let need = needs[number % needs.count]
    let pass = number / needs.count % (words.count + 1)
    return pass == 0 ? need : "\(need) \(words[pass - 1])"
  }

  /// A search with 8 facet groups; every third has a filter.
  func search(_ number: Int) -> BenchRequest {
    var body: JSONObject = [
      "q": .string(text(number)), "facets": .strings(SearchBench.facets), "limit": 20,
    ]
    if let filter = SearchBench.filter(number) { body["filter"] = .string(filter) }
    return BenchRequest(
      method: "POST", path: "/v1/providers/search", body: JSON.object(body).bytes)
  }
}

/// One connection to a server of this machine that stays open: HTTP/1.1, one request at a time.
///
/// The project's own client opens a connection a request and streams; a load would measure that instead.
struct BenchClient: ~Copyable {
  private let descriptor: Int32
  private let port: UInt16
  private var buffer: [UInt8] = []

  /// A wait for an answer that is longer than this is an error.
  private static let waitSeconds = 30
  private static let answerByteCountMax = 16_777_216

  /// Connects to 127.0.0.1.
  init(port: UInt16) throws {
    self.port = port
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var wait = timeval(tv_sec: BenchClient.waitSeconds, tv_usec: 0)
    var yes: Int32 = 1
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    let status = Loopback.address(port: port) { connect(descriptor, $0, $1) }
    guard status == 0 else { throw Refusal(.storageUnavailable, "no connection to \(port)") }
  }

  deinit { close(descriptor) }

  /// Sends a request and waits for its whole answer.
  /// - Throws: `Refusal` where the connection broke or the answer is none; the client is of no more use then.
  mutating func send(_ request: BenchRequest) throws -> (status: Int, body: [UInt8]) {
    var head = "\(request.method) \(request.path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
    head += "Content-Type: application/json\r\nContent-Length: \(request.body.count)\r\n"
    if let token = request.token { head += "Authorization: Bearer \(token)\r\n" }
    try write(Array((head + "\r\n").utf8) + request.body)
    buffer.removeAll(keepingCapacity: true)
    var bodyStart: Int?
    while bodyStart == nil {
      let before = max(0, buffer.count - 3)
      try read()
      bodyStart = BenchClient.end(ofHeadIn: buffer, from: before)
    }
    guard let bodyStart else { throw BenchClient.broken }
    let lines = String(decoding: buffer[..<bodyStart], as: UTF8.self).split(separator: "\r\n")
    let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    let length = lines.first { $0.lowercased().hasPrefix("content-length:") }
      .flatMap { Int($0.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) }
    guard let status else { throw BenchClient.broken }
    // Only answers without a body may leave out their length.
    let end = bodyStart + (length ?? 0)
    guard length != nil || status == 204, end <= BenchClient.answerByteCountMax else {
      throw BenchClient.broken
    }
    while buffer.count < end { try read() }
    return (status, Array(buffer[bodyStart..<end]))
  }

  private static var broken: Refusal {
    Refusal(.storageUnavailable, "the connection broke or timed out")
  }

  private static func end(ofHeadIn buffer: [UInt8], from start: Int) -> Int? {
    guard buffer.count >= 4 else { return nil }
    for place in start...max(start, buffer.count - 4) where place + 4 <= buffer.count {
      if buffer[place] == 13, buffer[place + 1] == 10, buffer[place + 2] == 13,
        buffer[place + 3] == 10
      {
        return place + 4
      }
    }
    return nil
  }

  private func write(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw BenchClient.broken }
      rest = rest.dropFirst(count)
    }
  }

  private mutating func read() throws {
    guard buffer.count <= BenchClient.answerByteCountMax else { throw BenchClient.broken }
    var part = [UInt8](repeating: 0, count: 65_536)
    let count = part.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { throw BenchClient.broken }
    buffer += part[..<count]
  }
}
