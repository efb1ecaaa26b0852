import Foundation
import HTTPClient
import Primitives

/// A running server, as the commands talk to it.
struct ServerLink: Sendable {
  let address: String
  private let token: String?

  /// The server that `--server` names, or the one that holds the data folder; nil where none is known.
  init?(_ arguments: Arguments) {
    let folder = arguments.text("data") ?? "./data"
    let file = FileManager.default.contents(atPath: folder + "/server.json")
    var found = file.flatMap { try? JSON.parse(Array($0)) }?["address"]?.string
    // A server that was killed leaves its address behind, but not its lock.
    if found != nil, !ServerLink.isLocked(folder) { found = nil }
    guard let address = arguments.text("server") ?? found else { return nil }
    self.address = address.hasSuffix("/") ? String(address.dropLast()) : address
    token = arguments.text("token")
  }

  private static func isLocked(_ folder: String) -> Bool {
    let descriptor = open(folder + "/record.db.lock", O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return true }
    flock(descriptor, LOCK_UN)
    return false
  }

  /// How long the server may work on a whole catalog before it answers: a million services take a night.
  static let bulkSeconds = 86_400

  /// Posts a body and gives the parts of the answer.
  ///
  /// - Parameter seconds: How long the answer may take and be silent; nil for ten minutes and two.
  func post(
    _ path: String, _ body: [UInt8], type: String = "application/json",
    headers: [(name: String, value: String)] = [], seconds: Int? = nil
  ) -> AsyncThrowingStream<InboundPart, any Error> {
    var all = headers + [(name: "Content-Type", value: type)]
    if let token { all.append((name: "Authorization", value: "Bearer " + token)) }
    var request = OutboundRequest(url: address + path, headers: all, body: body)
    request.totalSeconds = seconds ?? 600
    request.idleSeconds = seconds ?? 120
    request.byteCountMax = 64 * 1024 * 1024
    return Transfer.post(request)
  }

  /// Reads a path, as a stream of the answer's parts.
  func read(_ path: String) -> AsyncThrowingStream<InboundPart, any Error> {
    let headers = token.map { [(name: "Authorization", value: "Bearer " + $0)] } ?? []
    var request = OutboundRequest(url: address + path, headers: headers, body: [])
    request.isRead = true
    request.totalSeconds = 600
    request.idleSeconds = 600
    request.byteCountMax = 64 * 1024 * 1024
    return Transfer.post(request)
  }

  /// Posts a body and waits for the whole JSON answer.
  /// - Throws: `Refusal` with the server's own code and words.
  func json(
    _ path: String, _ body: [UInt8], type: String = "application/json", seconds: Int? = nil
  ) async throws -> JSON {
    let bytes = try await whole(post(path, body, type: type, seconds: seconds))
    guard let answer = try? JSON.parse(bytes) else {
      throw Refusal(.internal, "\(address) answered with no JSON.")
    }
    return answer
  }

  /// The bytes of a whole answer.
  /// - Throws: `Refusal` with the server's own code and words.
  func whole(_ parts: AsyncThrowingStream<InboundPart, any Error>) async throws -> [UInt8] {
    var status = 0
    var bytes: [UInt8] = []
    do {
      for try await part in parts {
        switch part {
        case .status(let code): status = code
        case .bytes(let more): bytes += more
        }
      }
    } catch let error as TransferError {
      throw Refusal(.storageUnavailable, "\(address) does not answer (\(error)).")
    }
    if (200..<300).contains(status) { return bytes }
    guard let answer = try? JSON.parse(bytes) else {
      throw Refusal(.internal, "\(address) answered with status \(status) and no JSON.")
    }
    let code = answer["code"]?.string.flatMap(ProblemCode.init(rawValue:)) ?? .internal
    let fields = (answer["errors"]?.array ?? []).map {
      Refusal.Field($0["pointer"]?.string ?? "", $0["detail"]?.string ?? "")
    }
    throw Refusal(code, answer["detail"]?.string ?? "status \(status)", fields: fields)
  }
}
