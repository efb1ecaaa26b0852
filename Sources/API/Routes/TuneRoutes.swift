internal import HTTPServer
internal import Identity
internal import Primitives
internal import Search

/// Learning from the marketplace in a running server, for admins.
struct TuneRoutes: Sendable {
  static let byteCountMax = 4_096
  let services: Services

  var all: [Route] {
    [
      Route(
        "POST", "/v1/admin/tune", "learn ranking from feedback",
        body: .admin(TuneRoutes.byteCountMax), handler: tune),
      Route(
        "POST", "/v1/admin/tune/rollback", "put the model before in use",
        body: .admin(TuneRoutes.byteCountMax), handler: rollback),
    ]
  }

  /// Learns from the record's events and answers when it is done, after seconds to minutes; searches go on.
  func tune(_ context: Context) async throws -> Response {
    try context.admin()
    let body = try context.json()
    try context.known(body, ["folds", "seed", "dryRun"])
    var faults: [Refusal.Field] = []
    func number(_ name: String, _ fallback: Int64, in range: ClosedRange<Int64>) -> Int64 {
      guard let value = body[name] else { return fallback }
      if let number = value.int, range.contains(number) { return number }
      faults.append(
        .init("/" + name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)"))
      return fallback
    }
    var settings = TuningRun.Settings()
    settings.foldCount = Int(number("folds", 5, in: 2...20))
    settings.seed = UInt64(number("seed", 7, in: 0...1_000_000_000))
    if let value = body["dryRun"], value.bool == nil {
      faults.append(.init("/dryRun", "must be true or false"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The request is not valid.", fields: faults)
    }
    let (isDryRun, wanted) = (body["dryRun"] == true, settings)
    func tune() async throws -> MarketplaceTuner.Result {
      try await named {
        try await services.tuner.tune(nil, wanted, isDryRun: isDryRun, at: services.clock.now)
      }
    }
    let result =
      try await isDryRun
      ? tune()
      : services.noted(
        .init("ranking.tune", done: "ranking.tuned", on: "ranking"), by: context,
        outcome: { (nil, "verdict=\($0.report.verdict)") }, tune)
    var json = result.json
    json["isBetter"] = .bool(result.report.verdict == .publish)
    json["lines"] = .strings(result.report.lines)
    return .json(.object(json))
  }

  func rollback(_ context: Context) async throws -> Response {
    try context.admin()
    let number = try await services.noted(
      .init("ranking.roll_back", done: "ranking.rolled_back", on: "ranking"), by: context,
      outcome: { (nil, "model=\($0 ?? 0)") }
    ) { try await named { try await services.tuner.rollback() } }
    return .json(["model": .optional(number)])
  }

  /// Files that cannot be used or written, in words.
  private func named<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as TunedModelError {
      throw Refusal(.storageUnavailable, error.words)
    }
  }
}
