internal import Dispatch
internal import Primitives

#if canImport(Glibc)
  internal import Glibc
#endif

/// Work that takes seconds, beside Swift's few pool threads.
enum Offload {
  private static let queue = DispatchQueue(
    label: "waypost.learning", qos: .utility, attributes: .concurrent)

  static func run<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try Task.checkCancellation()
    return try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try body() }) }
    }
  }
}

/// A base above zero to a power.
func power(_ base: Double, _ exponent: Double) -> Double { Glibc.pow(base, exponent) }

/// The natural logarithm.
func naturalLog(_ value: Float) -> Float { Glibc.logf(value) }

/// The values in an order that depends on the seed alone (Fisher and Yates).
func shuffled<Value>(_ values: [Value], _ random: inout SplitMix64) -> [Value] {
  var values = values
  for last in stride(from: values.count - 1, to: 0, by: -1) {
    values.swapAt(last, Int(random.next() % UInt64(last + 1)))
  }
  return values
}
