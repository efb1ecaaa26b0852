internal import Primitives
internal import Synchronization

/// Log lines of what the server's front refuses. The threads that all connections share hand them over and go on: a
/// log that nobody reads may cost lines, never answers.
final class RefusalLog: Sendable {
  /// Lines that may wait; one more is left out, and the next line says how many were.
  static let waitingMax = 1_024

  private let door: AsyncStream<JSONObject>.Continuation
  private let leftOut = Mutex<Int64>(0)

  /// - Parameter log: Gets the lines in their order, one at a time; it may block.
  init(log: @escaping @Sendable (JSONObject) -> Void) {
    let (lines, door) = AsyncStream.makeStream(
      of: JSONObject.self, bufferingPolicy: .bufferingOldest(RefusalLog.waitingMax))
    self.door = door
    Task { for await line in lines { log(line) } }
  }

  deinit { door.finish() }

  /// Takes a line, and never waits.
  func add(_ line: JSONObject) {
    leftOut.withLock { leftOut in
      var line = line
      if leftOut > 0 { line["leftOut"] = .int(leftOut) }
      if case .enqueued = door.yield(line) { leftOut = 0 } else { leftOut += 1 }
    }
  }
}
