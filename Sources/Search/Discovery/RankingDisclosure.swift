internal import Index
package import Primitives

/// The configuration that ranks, in words and numbers, for anyone to read.
package enum RankingDisclosure {
  /// The live configuration of a snapshot. Members are added, never renamed.
  ///
  /// `model` is null where searches go by text alone.
  package static func json(of snapshot: Snapshot) -> JSON {
    let model = try? JSON.parse(IndexFiles.model)
    let modelID = snapshot.hasVectors ? model?["id"]?.string : nil
    return [
      "generation": .string(snapshot.generation), "asOf": .int(snapshot.revision),
      "services": .number(snapshot.liveCount), "model": .optional(modelID),
      "vectors": .bool(snapshot.hasVectors), "signals": signals(snapshot.configuration),
      "tuned": tuned(snapshot.tuning),
      "rules": .array(
        rules.map { ["name": .string($0.name), "says": .string($0.says)] }),
      "placements": [
        "labels": ["pinned", "sponsored"], "shownMax": .number(Placement.shownMax),
        "positionMax": .number(Placement.positionMax),
        "says": .string(
          "An operator may pin a service, and a provider may pay for a place. Both obey every "
            + "filter, move only a service that the search found, are labelled, and change no "
            + "total and no facet. A sort of your own shows none."),
      ],
      "diversify": [
        "default": false, "window": .number(Diversifier.window),
        "tolerance": .double(Diversifier.tolerance),
        "says": .string(
          "On request one hit a provider goes first, among hits whose scores differ by at most "
            + "the tolerance."
        ),
      ],
      "notUsed": ["who asks", "what a provider pays, but for labelled placements", "the hour"],
    ]
  }

  /// The tuned model, with what it was measured to be worth; null for the shipped ranking.
  private static func tuned(_ tuning: IndexTuning) -> JSON {
    if let fault = tuning.fault {
      return ["model": .null, "fault": .string(fault.words)]
    }
    guard let number = tuning.number, let record = tuning.model?.record else { return .null }
    return [
      "model": .number(number), "source": .string(record.source),
      "createdAt": .string(record.createdAt.rfc3339), "needs": .number(record.needCount),
      "pairs": .number(record.pairCount),
      "heldOutBefore": .double(TuningReport.rounded(record.heldOutBefore)),
      "heldOutAfter": .double(TuningReport.rounded(record.heldOutAfter)),
      "says": .string(
        "Learnt from needs of this marketplace and measured on needs kept apart; one command "
          + "puts the model before in use."),
    ]
  }

  private static func signals(_ configuration: RankingConfiguration) -> JSON {
    let fields = configuration.fields
    let shares = RankingConfiguration.QueryClass.allCases.map { name in
      (name.rawValue, JSON.double(decimal(configuration.vectorShare[name] ?? 0)))
    }
    return [
      "text": [
        "says": "BM25: how often, and how rarely, the query's words stand in a listing, by field.",
        "k1": .double(decimal(configuration.k1)), "b": .double(decimal(configuration.b)),
        "fields": [
          "name": .double(decimal(fields.name)), "tagline": .double(decimal(fields.tagline)),
          "labels": .double(decimal(fields.labels)),
          "provider": .double(decimal(fields.provider)), "body": .double(decimal(fields.body)),
        ], "bodyCharacterMax": .number(fields.bodyCharacterMax),
      ],
      "vectors": [
        "says": "The cosine between the meaning of the query and that of a listing.",
        "cosineCut": .double(decimal(configuration.cosineCut)),
      ],
      "mix": [
        "says": "The share of the vectors in the score, by the query's class; the rest is text.",
        "vectorShare": .object(shares.reduce(into: JSONObject()) { $0[$1.0] = $1.1 }),
      ],
      "learnedTerms": [
        "says": "Words of needs that led others to a service, beside the listing's own words.",
        "weight": .double(decimal(configuration.learnedWeight)),
      ],
      "name": [
        "says": "Added where the query is the very name or id of a service.",
        "bonus": .double(decimal(configuration.nameBonus)),
      ],
      "quality": quality(configuration.quality),
      "set": [
        "says": "Who belongs to the result: enough of the query's words, or near in meaning.",
        "textShare": .double(decimal(configuration.textShare)),
        "floor": .number(configuration.setFloor),
      ],
    ]
  }

  private static func quality(_ quality: RankingConfiguration.Quality) -> JSON {
    [
      "says": .string(
        "Among hits whose scores lie in one range of the width of a bucket, the better prior goes "
          + "first: 0.5 for nothing known, up to 1 and down to 0 by rating and measured uptime. "
          + "Nothing that a provider says of itself counts, and no date does."),
      "bucket": .double(decimal(quality.bucket)),
      "rating": [
        "weight": .double(decimal(quality.ratingWeight)),
        "usual": .double(decimal(quality.ratingMean)),
        "reviews": .double(decimal(quality.reviews)),
      ],
      "uptime": [
        "weight": .double(decimal(quality.uptimeWeight)),
        "usual": .double(decimal(quality.uptimeUsual)),
        "worst": .double(decimal(quality.uptimeWorst)),
      ],
    ]
  }

  private static let rules: [(name: String, says: String)] = [
    ("filters", "A filter decides who can be found, and never who stands first."),
    ("unknown", "A fact that a listing does not state never passes a filter and sorts last."),
    ("offers", "A hit shows the cheapest of its matching offers and says why."),
    ("ties", "What is equal in bucket, prior and score is ordered by id."),
    (
      "explain",
      "With explain, a search shows the parts of every score, and why each precedes the next."
    ),
  ]

  /// A Float as the decimal that was written.
  private static func decimal(_ value: Float) -> Double {
    (Double(value) * 1e6).rounded() / 1e6
  }
}
