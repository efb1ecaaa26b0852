package import LinearAlgebra
internal import Primitives

/// Learns an adapter from needs and the services chosen for them. Pure: the same input and seed give the same
/// adapter on the same machine.
package struct AdapterTrainer: Sendable {
  /// The recipe, measured on five judged sets by folds of needs (Pages/ranking.md).
  package struct Settings: Sendable, Equatable {
    package var temperature: Float = 0.1
    /// Adam's rate.
    package var rate: Float = 0.0003
    package var stepCount = 300
    /// Needs of a step.
    package var batchCount = 128
    /// Weight of the pull towards the identity: even 0.01 costs .002, and the steps are few enough without.
    package var pull: Float = 0
    /// Services of a step; of more, those chosen for the batch and others drawn by chance.
    package var serviceCountMax = 4_000
    package var seed: UInt64 = 7

    package init() {}
  }

  /// One need: its row, and rows of the services chosen for it with weights above zero.
  package struct Example: Sendable {
    /// Decides the batch, so that it is the same whatever other examples come and go.
    package let id: String
    package let need: Int
    package let services: [(row: Int, weight: Float)]
    package let weight: Float

    /// - Parameter id: Nil takes the need's row.
    package init(
      id: String? = nil, need: Int, services: [(row: Int, weight: Float)], weight: Float = 1
    ) {
      self.id = id ?? String(need)
      self.need = need
      self.services = services
      self.weight = weight
    }
  }

  /// A matrix that has no use: it was fed with numbers that are none, or the rate is far too high.
  package struct Diverged: Error, Equatable {
    package let step: Int
  }

  private let settings: Settings

  package init(_ settings: Settings = Settings()) { self.settings = settings }

  /// The adapter after all steps; the identity where there is nothing to learn from.
  ///
  /// - Parameters:
  ///   - needs: Unit rows.
  ///   - services: Unit rows of the same width.
  ///   - report: Gets each step and its loss.
  /// - Throws: `Diverged`.
  /// - Complexity: About 20 s on one core for 300 steps against 4,000 services of 384.
  package func train(
    needs: Matrix, services: Matrix, examples: [Example],
    report: (_ step: Int, _ loss: Double) -> Void = { _, _ in }
  ) throws(Diverged) -> Adapter {
    let d = services.columnCount
    precondition(needs.columnCount == d, "needs of \(needs.columnCount), services of \(d)")
    let useful = examples.filter { example in
      example.weight > 0 && example.services.contains { $0.weight > 0 }
    }
    var adapter = Adapter.identity(d)
    guard !useful.isEmpty, services.rowCount > 1 else { return adapter }
    let objective = AdapterObjective(temperature: settings.temperature, pull: settings.pull)
    var random = SplitMix64(seed: settings.seed)
    var optimizer = Adam(count: d * d, rate: settings.rate)
    let batches = batches(of: useful)
    for step in 1...max(settings.stepCount, 1) {
      let batch = batches[(step - 1) % batches.count]
      let pool = pool(for: batch, serviceCount: services.rowCount, &random)
      let value = objective.value(
        at: adapter, needs: AdapterTrainer.rows(batch.map(\.need), of: needs),
        services: pool.map { AdapterTrainer.rows($0, of: services) } ?? services.elements,
        targets: targets(batch, pool))
      guard value.loss.isFinite else { throw Diverged(step: step) }
      var elements = adapter.elements
      optimizer.move(&elements, by: value.gradient)
      adapter = Adapter(dimension: d, elements: elements)
      report(step, value.loss)
    }
    guard adapter.elements.allSatisfy(\.isFinite) else {
      throw Diverged(step: settings.stepCount)
    }
    return adapter
  }

  /// The batches, each of the same examples in every round.
  private func batches(of examples: [Example]) -> [[Example]] {
    let count = max(1, (examples.count + settings.batchCount - 1) / settings.batchCount)
    var batches = [[Example]](repeating: [], count: count)
    for example in examples {
      // FNV-1a: a hash that is the same on every machine and in every run.
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ settings.seed
      for byte in example.id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      // Its low bits alone know little of the seed.
      hash ^= hash >> 32
      batches[Int(hash % UInt64(count))].append(example)
    }
    return batches.filter { !$0.isEmpty }
  }

  /// The services of a step, or nil for all of them: the batch's own first, then others without repetition.
  private func pool(
    for batch: [Example], serviceCount: Int, _ random: inout SplitMix64
  ) -> [Int]? {
    guard serviceCount > settings.serviceCountMax else { return nil }
    var rows: [Int] = []
    var seen = Set<Int>()
    for row in batch.flatMap({ $0.services.map(\.row) }) where seen.insert(row).inserted {
      rows.append(row)
    }
    while rows.count < settings.serviceCountMax {
      let row = Int(random.next() % UInt64(serviceCount))
      if seen.insert(row).inserted { rows.append(row) }
    }
    return rows
  }

  private func targets(_ batch: [Example], _ pool: [Int]?) -> [AdapterObjective.Target] {
    var places: [Int: Int] = [:]
    for (place, row) in (pool ?? []).enumerated() { places[row] = place }
    return batch.map { example in
      let total = example.services.reduce(Float(0)) { $0 + max($1.weight, 0) }
      let services = example.services.filter { $0.weight > 0 }.map { service in
        (row: pool == nil ? service.row : places[service.row] ?? 0, share: service.weight / total)
      }
      return AdapterObjective.Target(services: services, weight: example.weight)
    }
  }

  private static func rows(_ indices: [Int], of matrix: Matrix) -> [Float] {
    let width = matrix.columnCount
    var output: [Float] = []
    output.reserveCapacity(indices.count * width)
    for index in indices { output += matrix.elements[index * width..<(index + 1) * width] }
    return output
  }
}

/// Adam (Kingma and Ba, 2015), with its usual constants.
struct Adam {
  private let rate: Float
  private var mean: [Float]
  private var square: [Float]
  private var meanDecay: Float = 1
  private var squareDecay: Float = 1

  init(count: Int, rate: Float) {
    self.rate = rate
    mean = [Float](repeating: 0, count: count)
    square = mean
  }

  /// Moves the values one step against a gradient.
  mutating func move(_ values: inout [Float], by gradient: [Float]) {
    precondition(values.count == mean.count && gradient.count == mean.count, "other shapes")
    let (beta, gamma): (Float, Float) = (0.9, 0.999)
    meanDecay *= beta
    squareDecay *= gamma
    for index in values.indices {
      mean[index] = beta * mean[index] + (1 - beta) * gradient[index]
      square[index] = gamma * square[index] + (1 - gamma) * gradient[index] * gradient[index]
      let direction = mean[index] / (1 - meanDecay)
      let size = (square[index] / (1 - squareDecay)).squareRoot()
      values[index] -= rate * direction / (size + 1e-8)
    }
  }
}
