internal import Primitives

/// Providers, their listings, and what operators do with the catalog.
enum CatalogDocuments {
  static let all: [RouteDocument] = shown + listings + admin

  private static let read = ["discovery:read"]
  private static let write = ["listings:write"]
  private static let slug: [String: Schema] = ["id": .text(1...255)]

  private static let shown: [RouteDocument] = [
    RouteDocument(
      "GET /v1/services/{id}", .catalog, scopes: read, path: slug,
      answers: [
        .json(.object(["service": .ref("Service"), "asOf": .count]), "The listing as it is shown.")
      ]),
    RouteDocument(
      "GET /v1/providers", .catalog, scopes: read,
      parameters: [ListParameters.limit, ListParameters.after],
      answers: [
        .json(ListParameters.page("providers", of: .ref("Provider")), "Providers, by id.")
      ]),
    RouteDocument(
      "GET /v1/providers/{id}", .catalog, scopes: read, path: slug,
      answers: [
        .json(
          .object([
            "provider": .ref("Provider"),
            "services": .list(.object(["id": .string, "name": .string])),
          ]), "A provider with its public listings, at most 100.")
      ]),
  ]

  private static let listings: [RouteDocument] = [
    RouteDocument(
      "GET /v1/provider/services", .providers, [.provider], scopes: write,
      parameters: [ListParameters.limit, ListParameters.after],
      answers: [
        .json(ListParameters.page("services", of: .ref("Service")), "Own listings, drafts too.")
      ]),
    RouteDocument(
      "GET /v1/provider/services/{id}", .providers, [.provider], scopes: write, path: slug,
      answers: [
        .json(
          .object(["service": .ref("Listing"), "revision": .count, "status": .string]),
          "One own listing as it was written.")
      ]),
    RouteDocument(
      "PUT /v1/provider/services/{id}", .providers, [.provider], scopes: write,
      path: ["id": .slug],
      parameters: [
        .query("wait", Schema.string.about("`searchable` answers when it can be found.")),
        .header("If-Match", Schema.string.about("The revision that is to be replaced.")),
      ], body: .json(.ref("Listing")),
      answers: [
        .json(written, "It replaced the one before."),
        .json(written, "It is new.", status: 201),
      ], problems: [.revisionMismatch]),
    RouteDocument(
      "DELETE /v1/provider/services/{id}", .providers, [.provider], scopes: write, path: slug,
      answers: [.empty("It is out of search.")]),
  ]

  private static let written = Schema.object([
    "id": .slug, "revision": .count, "searchable": .boolean, "changed": .boolean,
  ])

  private static let admin: [RouteDocument] = [
    RouteDocument(
      "POST /v1/admin/import", .admin, [.admin],
      parameters: [
        .query("atomic", .one(of: "true", "false")), .query("dryRun", .one(of: "true", "false")),
      ], body: .other("application/x-ndjson"),
      answers: [
        .json(
          .object([
            "created": .count, "changed": .count, "same": .count, "refused": .count,
            "revision?": .any, "refusedLines": .list(.string),
          ]), "What became of the lines.")
      ], problems: [.malformedJSON]),
    RouteDocument(
      "POST /v1/admin/index/rebuild", .admin, [.admin],
      answers: [.json(.object(["generation": .string]), "The new generation is in place.")],
      problems: [.invalidTransition]),
    RouteDocument(
      "POST /v1/admin/index/rollback", .admin, [.admin],
      answers: [.json(.object(["generation": .string]), "The generation before is in place.")],
      problems: [.notFound, .invalidTransition]),
    RouteDocument(
      "POST /v1/admin/tune", .admin, [.admin],
      body: .optional(
        .closed([
          "folds?": .integer(2...20), "seed?": .integer(0...1_000_000_000), "dryRun?": .boolean,
        ])),
      answers: [
        .json(
          .object([
            "verdict": .string, "published": .boolean, "isBetter": .boolean,
            "lines": .list(.string),
          ]), "What was learnt.")
      ], problems: [.invalidTransition]),
    RouteDocument(
      "POST /v1/admin/tune/rollback", .admin, [.admin],
      answers: [
        .json(.object(["model": .any]), "The model before is in use; null is the shipped ranking.")
      ],
      problems: [.validationFailed, .invalidTransition]),
    RouteDocument(
      "GET /v1/admin/placements", .admin, [.admin],
      answers: [.json(.object(["placements": .list(.ref("Placement"))]), "Every placement.")]),
    RouteDocument(
      "GET /v1/admin/placements/{id}", .admin, [.admin], path: slug,
      answers: [.json(.ref("Placement"), "One placement.")]),
    RouteDocument(
      "PUT /v1/admin/placements/{id}", .admin, [.admin], path: ["id": .slug],
      body: .json(placement),
      answers: [
        .json(.ref("Placement"), "It replaced the one before."),
        .json(.ref("Placement"), "It is new.", status: 201),
      ], problems: [.filterInvalid, .notFound], repeats: .harmless),
    RouteDocument(
      "DELETE /v1/admin/placements/{id}", .admin, [.admin], path: slug,
      answers: [.empty("It is gone.")]),
  ]

  private static let placement = Schema.closed([
    "kind": .one(of: "pin", "sponsored"), "serviceId": .text(1...128),
    "terms?": Schema.list(.text(1...80), 1...10).orNull, "filter?": SearchSchemas.filter.orNull,
    "position?": Schema.integer(1...10).orNull, "startsAt?": Schema.text(10...40).orNull,
    "endsAt?": Schema.text(10...40).orNull, "paid?": Schema.boolean.orNull,
  ])
}
