internal import Catalog
internal import Primitives

/// How good a service is said to be by others than itself, 0...1; 0.5 where nothing is known.
///
/// Half, plus weighted parts: the rating drawn to the usual mean by how few gave it (Bayesian mean), and the
/// uptime that was measured. A part that is not known adds nothing and takes nothing. Only the platform or an
/// operator's import writes ratings, review counts and measured figures; what a provider declares does not
/// count. There is no part for freshness: without a clock it could only order by date, and every listing has
/// one, so that a provider would rise by touching its listing.
struct QualityPrior {
  static let neutral: Float = 0.5

  let rating: Double?
  let reviewCount: Double
  /// Percent.
  let uptime: Double?

  init(_ service: Service) {
    rating = service.fields["rating"]?.double
    reviewCount = service.fields["reviewCount"]?.double ?? 0
    let metrics = service.fields["metrics"]?.array ?? []
    let measured = metrics.first { $0["name"] == "uptime30d" && $0["provenance"] == "measured" }
    uptime = measured?["value"]?.double
  }

  /// The prior with the numbers of a configuration.
  func value(_ configuration: RankingConfiguration.Quality) -> Float {
    var value = Double(QualityPrior.neutral)
    if let rating {
      let mean = Double(configuration.ratingMean)
      // Without this, no reviews under a configuration that draws nothing would be 0 / 0.
      let share = reviewCount > 0 ? reviewCount / (reviewCount + Double(configuration.reviews)) : 0
      let drawn = mean + share * (rating - mean)
      value +=
        Double(configuration.ratingWeight) * QualityPrior.side(drawn, 0, mean, 5)
    }
    if let uptime, (0...100).contains(uptime) {
      value +=
        Double(configuration.uptimeWeight)
        * QualityPrior.side(
          uptime, Double(configuration.uptimeWorst), Double(configuration.uptimeUsual), 100)
    }
    return Float(min(1, max(0, value)))
  }

  /// Where a figure stands between the worst and the best: -0.5...0.5, 0 for the usual one, straight on both sides.
  private static func side(_ value: Double, _ worst: Double, _ usual: Double, _ best: Double)
    -> Double
  {
    let distance = value < usual ? usual - worst : best - usual
    guard distance > 0 else { return 0 }
    return max(-0.5, min(0.5, (value - usual) / distance / 2))
  }
}
