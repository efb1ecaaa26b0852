internal import Primitives

/// Searches and what surrounds them.
enum SearchDocuments {
  static let all: [RouteDocument] = searches + around

  private static let read = ["discovery:read"]
  private static let learn = RouteDocument.Parameter.header(
    "X-Waypost-Learn", Schema.string.about("`no` keeps the search out of what is learnt from."))
  private static let asOf: Schema = .count
  private static let firstHit: [RouteDocument.Lead] = [
    .to("GET /v1/services/{id}", path: ["id": "$response.body#/hits/0/id"]),
    .to("GET /v1/services/{id}/similar", path: ["id": "$response.body#/hits/0/id"]),
    .to("POST /v1/proposals", body: ["serviceId": "$response.body#/hits/0/id"]),
  ]

  private static let searches: [RouteDocument] = [
    RouteDocument(
      "POST /v1/providers/search", .search, scopes: read, parameters: [learn],
      body: .optional(.ref("SearchRequest")),
      answers: [.json(.ref("SearchAnswer"), "One page of hits, with totals and facets.")],
      problems: [.filterInvalid, .cursorInvalid, .notSearchableYet], leads: firstHit),
    RouteDocument(
      "GET /v1/providers/search", .search, scopes: read,
      parameters: SearchSchemas.parameters + [learn],
      answers: [.json(.ref("SearchAnswer"), "One page of hits, with totals and facets.")],
      problems: [.filterInvalid, .cursorInvalid, .notSearchableYet], leads: firstHit),
    RouteDocument(
      "POST /v1/search:batch", .search, scopes: read, parameters: [learn],
      body: .json(
        .closed([
          "searches": .list(
            Schema.any.about(
              "A SearchInBatch; what is none gets its problem in its place among the answers."),
            1...20),
          "minRevision?": SearchSchemas.revision.orNull,
        ])),
      answers: [
        .json(
          .object([
            "answers": .list(
              .object([
                "status": .integer(200...599), "answer?": .ref("SearchAnswer"),
                "problem?": .ref("Problem"),
              ])), "asOf": asOf, "generation": .string,
          ]), "The answers in order, all of one snapshot.")
      ], problems: [.notSearchableYet]),
    RouteDocument(
      "POST /v1/facets/search", .search, scopes: read,
      body: .json(
        .closed([
          "field": .text(1...64), "q?": Schema.text(0...200).orNull, "query?": Schema.string.orNull,
          "filter?": SearchSchemas.filter.orNull,
          "understand?": Schema.any(of: .one(of: "auto", "off"), .boolean).orNull,
          "semantic?": Schema.number(0...1).orNull, "prefix?": Schema.boolean.orNull,
          "ignored?": Schema.list(.text(0...200), 0...50).orNull,
          "limit?": Schema.integer(1...200).orNull, "minRevision?": SearchSchemas.revision.orNull,
        ])),
      answers: [
        .json(
          .object([
            "field": .string, "values": .list(.ref("FacetValue")), "matchCount": .count,
            "total": .count, "asOf": asOf, "generation": .string,
          ]), "Values that fit what is typed, counted in the search beside it.")
      ], problems: [.filterInvalid, .notSearchableYet]),
    RouteDocument(
      "GET /v1/suggest", .search, scopes: read,
      parameters: [.query("q", .string), .query("limit", Schema.integer(1...10).otherwise(10))],
      answers: [
        .json(
          .object([
            "queries": .list(.object(["text": .string, "kind": .string])),
            "services": .list(
              .object([
                "id": .string, "name": .string, "provider": .string.orNull, "match": .string,
              ])),
            "values": .list(
              .object(["field": .string, "value": .string, "count": .count, "filter": .string])),
            "asOf": asOf,
          ]), "What the words may become.")
      ]),
    RouteDocument(
      "POST /v1/events", .search, scopes: read, parameters: [learn],
      body: .json(
        .closed([
          "searchId?": .string.orNull,
          "events": .list(
            Schema.any.about(
              "Each `{searchId?, kind, serviceId, position?}`; kind is shown, opened, tried or kept. A bad one is refused alone."
            ), 1...100),
        ])),
      answers: [
        .json(
          .object([
            "recorded": .count,
            "results": .list(
              .object([
                "status": .one(of: "recorded", "repeated", "dropped", "refused"),
                "reason?": .string, "code?": .string, "detail?": .string,
              ])),
          ]), "What became of each, in order.")
      ], repeats: .once(by: "search, service and kind")),
  ]

  private static let around: [RouteDocument] = [
    RouteDocument(
      "GET /v1/services/{id}/similar", .search, scopes: read,
      parameters: [
        .query("filter", SearchSchemas.filterInAddress),
        .query("limit", Schema.integer(1...50).otherwise(10)), .query("facets", .string),
        .query("minRevision", SearchSchemas.revision),
      ],
      answers: [
        .json(
          .object([
            "service": .object(["id": .string, "name": .string]), "hits": .list(.ref("Hit")),
            "total": .count, "facets": .map(.ref("Facet")), "filter": .string.orNull,
            "asOf": asOf, "generation": .string, "degraded": .list(.string),
          ]), "Services like it, each with why.")
      ], problems: [.filterInvalid, .notSearchableYet]),
    RouteDocument(
      "POST /v1/compare", .search, scopes: read,
      body: .json(
        .closed([
          "ids": .list(.string, 2...5, isSet: true), "usage?": Schema.ref("Usage").orNull,
          "minRevision?": SearchSchemas.revision.orNull,
        ])),
      answers: [
        .json(
          .object([
            "services": .list(.document), "fields": .list(.document), "prices": .list(.document),
            "costs": .list(.document), "reasons": .list(.document),
            "usage": Schema.document.orNull, "asOf": asOf, "generation": .string,
          ]), "Every field side by side, and why one stands above another.")
      ], problems: [.notFound, .notSearchableYet]),
    RouteDocument(
      "POST /v1/cost", .search, scopes: read,
      words: "Either `ids`, or the search whose hits are meant.",
      body: .json(
        .closed([
          "usage": .ref("Usage"), "ids?": Schema.list(.string, 1...50, isSet: true).orNull,
          "q?": Schema.string.orNull, "filter?": SearchSchemas.filter.orNull,
          "understand?": Schema.any(of: .one(of: "auto", "off"), .boolean).orNull,
          "limit?": Schema.integer(1...50).orNull, "minRevision?": SearchSchemas.revision.orNull,
        ])),
      answers: [
        .json(
          .object([
            "usage": .object(["low": .document, "expected": .document, "high": .document]),
            "services": .list(
              .object([
                "id": .string, "name": .string, "provider": .any, "offers": .list(.document),
                "cheapest": .list(.document),
              ])), "total": .count, "asOf": asOf, "generation": .string,
          ]), "What the usage costs under every offer.")
      ], problems: [.notFound, .filterInvalid, .notSearchableYet]),
    RouteDocument(
      "GET /v1/ranking", .search, scopes: read,
      answers: [
        .json(
          .object([
            "generation": .string, "asOf": asOf, "services": .count, "model": .any,
            "vectors": .boolean, "signals": .document, "tuned": Schema.document.orNull,
            "rules": .list(.document), "placements": .document, "diversify": .document,
            "notUsed": .list(.string),
          ]), "How results are ranked, in words and numbers.")
      ], problems: [.validationFailed]),
    RouteDocument(
      "GET /v1/meta/schema", .search, scopes: read,
      answers: [
        .json(
          .object([
            "fields": .list(
              .object([
                "name": .string, "type": .string, "facet": .boolean, "offerField": .boolean,
                "sortable": .boolean, "operators": .list(.string), "help": .string,
              ])), "sort": .list(.string), "currencies": .list(.string),
            "limits": .map(.count),
          ]), "Fields, operators and facets: a frontend can build itself from it.")
      ]),
  ]
}
