internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#endif

/// libFuzzer's entry on one input: the bytes and their count; the answer is 0.
package typealias FuzzTarget = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argumentCount: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ target: FuzzTarget
) -> CInt

/// What every fuzz target does alike: takes its input, holds its claims, watches the time.
package enum Fuzz {
  /// A text of at most this many characters must be done within `limit`.
  package static let timedCharacterCount = 1_000
  package static let limit = Duration.milliseconds(50)

  /// Runs libFuzzer over a target: what its own `main` does.
  ///
  /// A package's executable may be linked with `main` renamed to `MODULE_main`; each target gives that name to
  /// this, so that it starts either way.
  package static func drive(
    _ argumentCount: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
    _ target: FuzzTarget
  ) -> CInt {
    var argumentCount = argumentCount
    var arguments = arguments
    return runDriver(&argumentCount, &arguments, target)
  }

  /// The input as bytes.
  package static func bytes(_ data: UnsafePointer<UInt8>?, _ count: Int) -> [UInt8] {
    Array(UnsafeBufferPointer(start: data, count: count))
  }

  /// The input as text; bytes that are no UTF-8 become U+FFFD, as they do at the server's door.
  package static func text(_ data: UnsafePointer<UInt8>?, _ count: Int) -> String {
    String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self)
  }

  /// Stops the fuzzer, which keeps the input, unless the claim holds.
  package static func check(_ holds: Bool, _ claim: @autoclosure () -> String) {
    if !holds { fail(claim()) }
  }

  /// Says what does not hold and stops; libFuzzer writes the input to a file on the way out.
  package static func fail(_ claim: String) -> Never {
    let line = Array("fuzz: does not hold: \(claim)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    abort()
  }

  /// Runs the body and stops the fuzzer where a text of at most 1,000 characters takes over 50 ms.
  ///
  /// The best of five counts: other work shares the machine.
  /// - Parameter characterCount: Unicode scalars of the input.
  package static func timed<T>(_ characterCount: Int, _ body: () throws -> T) rethrows -> T {
    let clock = ContinuousClock()
    var start = clock.now
    let result = try body()
    var best = clock.now - start
    guard characterCount <= timedCharacterCount, best > limit else { return result }
    for _ in 0..<4 where best > limit {
      start = clock.now
      _ = try body()
      best = min(best, clock.now - start)
    }
    check(best <= limit, "at most 50 ms for \(characterCount) characters, took \(best)")
    return result
  }

  /// Runs asynchronous work to its end on the fuzzer's one thread; nil where it throws.
  package static func blocking<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) -> T?
  {
    let box = Box<T>()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      if let value = try? await body() { box.value.withLock { $0 = value } }
      done.signal()
    }
    done.wait()
    return box.value.withLock { $0 }
  }

  /// A folder of this process below `TMPDIR` for what the targets write, or nil where none can be made.
  package static func temporaryFolder() -> String? {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/waypost-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private final class Box<T: Sendable>: Sendable {
    let value = Mutex<T?>(nil)
  }
}
