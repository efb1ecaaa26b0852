internal import Primitives

/// The shared schemas of the document, by name.
enum ComponentSchemas {
  static var json: JSONObject {
    var all = JSONObject()
    for (name, schema) in everything { all[name] = schema.json }
    return all
  }

  private static let everything: [(String, Schema)] =
    general + SearchSchemas.all + SessionSchemas.all + LedgerDocuments.schemas
    + PaymentDocuments.schemas + WebhookDocuments.schemas + AccountDocuments.schemas
    + PrivacyDocuments.schemas + AuthorizationDocuments.schemas

  private static let general: [(String, Schema)] = [
    (
      "Problem",
      Schema.object([
        "type": .string.about("Where the code is described, a reference within this server."),
        "title": .string, "status": .integer(400...599), "detail": .string,
        "code": .string.about("Stable: decide by it."), "instance?": .string,
        "requestId?": .string,
        "errors?": .list(
          .object([
            "pointer": .string.about("The field, as a JSON Pointer."), "code": .string,
            "detail": .string,
          ])),
      ]).about("A refusal (RFC 9457).")
    ),
    (
      "Provider",
      Schema.object([
        "id": .string, "name": .string, "verified": .boolean, "unclaimed": .boolean,
        "serviceCount": .count,
      ])
    ),
    (
      "Service",
      Schema.object([
        "id": .slug, "revision": .count,
        "provider": .object(["id": .string, "name": .string, "verified": .boolean]),
        "name": .string, "kind?": .one(of: "api", "model", "app", "tool"), "tagline?": .string,
        "description?": .string, "categories?": .list(.string), "tags?": .list(.string),
        "status?": .string, "offers": .list(.ref("Offer")), "createdAt": .moment,
        "updatedAt": .moment,
      ]).about("A listing as searches show it; every catalog field that it states is a member.")
    ),
    (
      "Offer",
      Schema.object([
        "id": .string, "name?": .string, "plan?": .string, "region?": .string,
        "prices?": .list(
          .object(["meter": .string, "per?": .count, "amountNano": .count, "currency?": .string])),
      ]).about("A priced way to use a service.")
    ),
    (
      "Listing",
      Schema.document.about(
        "A service's catalog fields as Pages/catalog.md lists them; other fields are refused.")
    ),
    (
      "Placement",
      Schema.object([
        "id": .slug, "kind": .one(of: "pin", "sponsored"), "serviceId": .string,
        "terms": .list(.string).orNull, "filter": .string.orNull, "position": .integer(1...10),
        "startsAt": .string, "endsAt": .string.orNull, "paid": .boolean, "active": .boolean,
      ])
    ),
    (
      "Conversation",
      Schema.object(["id": .id]).about(
        "A conversation, with its state and events where it is whole.")
    ),
  ]
}
