/// A condition that a grammar found, and the words it stands in.
struct QueryMatch {
  let range: Range<Int>
  let expression: FilterExpression
  let label: String
  /// Whether the words are still searched, because they tell a need as well.
  var keepsWords = false
  /// Whether the words are searched again once the condition is removed.
  var returnsWords = true
}

/// What a grammar makes of some words: a condition, or a remark on why there is none.
enum QueryFinding {
  case match(QueryMatch)
  /// The words are settled and no condition; the note says why.
  case note(String, range: Range<Int>, takesWords: Bool)
}

extension FilterExpression.Comparison {
  /// As a label says it: "under", "at least".
  var words: String {
    switch self {
    case .equal: "exactly"
    case .notEqual: "not"
    case .less: "under"
    case .lessOrEqual: "at most"
    case .greater: "over"
    case .greaterOrEqual: "at least"
    }
  }

  var isUpperBound: Bool { self == .less || self == .lessOrEqual }

  /// What "not" makes of it.
  var denied: FilterExpression.Comparison {
    switch self {
    case .equal: .notEqual
    case .notEqual: .equal
    case .less: .greaterOrEqual
    case .lessOrEqual: .greater
    case .greater: .lessOrEqual
    case .greaterOrEqual: .less
    }
  }
}

/// The words of bounds, in the languages that a query may use.
enum BoundWords {
  /// What a bound is called before its number.
  static let before = PhraseTable<FilterExpression.Comparison>(
    [
      (
        .less,
        "under;below;less than;lower than;cheaper than;smaller than;shorter than;fewer than;<"
      ),
      (.less, "faster than;quicker than;unter;weniger als;günstiger als;billiger als"),
      (.less, "moins de;moins que;menos de;低于;少于;小于"),
      (
        .lessOrEqual,
        "no more than;not more than;at most;up to;maximum of;max;max.;maximum;within;<=;≤;no higher than"
      ),
      (
        .lessOrEqual, "höchstens;maximal;bis zu;au plus;au maximum;jusqu'à;como máximo;máximo;hasta"
      ),
      (.lessOrEqual, "not above;not over;not exceeding;capped at;no longer than;不超过;不高于"),
      (
        .greater,
        "more than;greater than;larger than;higher than;longer than;bigger than;better than;over;above"
      ),
      (.greater, "exceeding;beyond;>;über;mehr als;plus de;más de"),
      (
        .greaterOrEqual,
        "at least;no less than;not less than;not below;not under;minimum of;minimum"
      ),
      (.greaterOrEqual, "min;min.;>=;≥;mindestens;au moins;al menos;至少;不低于"),
    ].flatMap(rows))

  /// What it is called behind its number.
  static let after = PhraseTable<FilterExpression.Comparison>(
    [
      (
        .greaterOrEqual,
        "or more;or larger;or longer;or bigger;or higher;or better;or above;or over"
      ),
      (.greaterOrEqual, "and up;and above;and more;minimum;min;oder mehr;ou plus;o más;以上"),
      (
        .lessOrEqual, "or less;or cheaper;or lower;or below;or under;or faster;or fewer;maximum;max"
      ),
      (.lessOrEqual, "oder weniger;ou moins;o menos;tops;以下;以内"),
    ].flatMap(rows))

  /// "not", and the verbs that may stand between it and a bound: "must not pay more than".
  static let negations: Set<String> = [
    "not", "never", "cannot", "can't", "don't", "doesn't", "won't", "shouldn't", "mustn't",
  ]
  static let verbs: Set<String> = [
    "pay", "cost", "spend", "be", "want", "to", "charge", "costing", "paying", "go",
  ]

  private static func rows(
    _ comparison: FilterExpression.Comparison, _ phrases: String
  ) -> [(String, FilterExpression.Comparison)] {
    phrases.split(separator: ";").map { (String($0), comparison) }
  }
}

extension WordReader {
  /// "under", "no more than", "must not cost more than"; nil and nothing read where there is no bound.
  mutating func bound() -> FilterExpression.Comparison? {
    if let comparison = take(from: BoundWords.before) { return comparison }
    let place = at
    if take(oneOf: BoundWords.negations) {
      for _ in 0..<4 where take(oneOf: BoundWords.verbs) {}
      if let comparison = take(from: BoundWords.before) { return comparison.denied }
      if take("exceed") { return .lessOrEqual }
    }
    go(to: place)
    return nil
  }

  /// Whether a bound stands here.
  var isAtBound: Bool {
    var copy = self
    return copy.bound() != nil
  }

  /// "or more", "or less".
  mutating func boundBehind() -> FilterExpression.Comparison? { take(from: BoundWords.after) }
}
