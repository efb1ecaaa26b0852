internal import LinearAlgebra

/// The loss that an adapter is trained by, with its exact gradient.
///
/// Needs Q and services D are mapped by the same W and brought to unit length; each need's cosines, divided by
/// the temperature, go through a softmax over the services; the loss is the cross entropy with the services
/// that were chosen for it, averaged by the needs' weights, plus half the pull times |W - I|^2.
package struct AdapterObjective: Sendable {
  /// The services chosen for one need, by row, with weights that sum to 1; and the need's own weight.
  package struct Target: Sendable {
    package let services: [(row: Int, share: Float)]
    package let weight: Float

    package init(services: [(row: Int, share: Float)], weight: Float) {
      self.services = services
      self.weight = weight
    }
  }

  package let temperature: Float
  package let pull: Float

  package init(temperature: Float, pull: Float) {
    self.temperature = temperature
    self.pull = pull
  }

  /// The loss and its gradient by W at `adapter`.
  ///
  /// - Parameters:
  ///   - needs: B rows, one for each target.
  ///   - services: N rows, unit length.
  /// - Complexity: 2 N d^2 + 3 B N d multiply-adds, and memory for 3 N d + B N floats.
  package func value(
    at adapter: Adapter, needs: [Float], services: [Float], targets: [Target]
  ) -> (loss: Double, gradient: [Float]) {
    let d = adapter.dimension
    let needCount = targets.count
    let serviceCount = services.count / d
    var mappedNeeds = [Float](repeating: 0, count: needs.count)
    var mapped = [Float](repeating: 0, count: services.count)
    let map = Gemm.Operand.plain(adapter.elements, columnCount: d)
    Gemm.multiply(.plain(needs, columnCount: d), map, into: &mappedNeeds)
    Gemm.multiply(.plain(services, columnCount: d), map, into: &mapped)
    let needLengths = UnitRows.normalize(&mappedNeeds, columnCount: d)
    let lengths = UnitRows.normalize(&mapped, columnCount: d)
    var scores = [Float](repeating: 0, count: needCount * serviceCount)
    Gemm.multiply(
      .plain(mappedNeeds, columnCount: d), .transposed(mapped, columnCount: d), into: &scores)
    let loss = crossEntropy(&scores, targets, serviceCount)
    // From here `scores` holds the gradient by the cosines.
    var needGradient = [Float](repeating: 0, count: needs.count)
    Gemm.multiply(
      .plain(scores, columnCount: serviceCount), .plain(mapped, columnCount: d),
      into: &needGradient)
    var serviceGradient = [Float](repeating: 0, count: services.count)
    Gemm.multiply(
      .transposed(scores, columnCount: serviceCount), .plain(mappedNeeds, columnCount: d),
      into: &serviceGradient)
    UnitRows.backward(&needGradient, unit: mappedNeeds, lengths: needLengths, columnCount: d)
    UnitRows.backward(&serviceGradient, unit: mapped, lengths: lengths, columnCount: d)
    var gradient = adapter.elements
    for index in 0..<d { gradient[index * (d + 1)] -= 1 }
    // The pull's own gradient is what the two products are added to.
    Gemm.multiply(
      .transposed(needs, columnCount: d), .plain(needGradient, columnCount: d), into: &gradient,
      keeping: pull)
    Gemm.multiply(
      .transposed(services, columnCount: d), .plain(serviceGradient, columnCount: d),
      into: &gradient, keeping: 1)
    let distance = adapter.distance
    return (loss + 0.5 * Double(pull) * distance * distance, gradient)
  }

  /// The loss of the cosines; they become the gradient of the loss by them.
  private func crossEntropy(
    _ scores: inout [Float], _ targets: [Target], _ serviceCount: Int
  ) -> Double {
    let total = targets.reduce(Float(0)) { $0 + $1.weight }
    guard total > 0, serviceCount > 0 else { return 0 }
    var loss = 0.0
    let scale = 1 / temperature
    scores.withUnsafeMutableBufferPointer { scores in
      guard let base = scores.baseAddress else { return }
      Kernels.softmax(base, scale: scale, rows: targets.count, columns: serviceCount)
      for (index, target) in targets.enumerated() {
        let row = base + index * serviceCount
        let share = target.weight / total
        for service in target.services {
          // A float's least: the chance of a service that is never found is not zero.
          let chance = max(row[service.row], .leastNormalMagnitude)
          loss -= Double(share * service.share * naturalLog(chance))
        }
        for place in 0..<serviceCount { row[place] *= share * scale }
        for service in target.services { row[service.row] -= share * scale * service.share }
      }
    }
    return loss
  }
}
