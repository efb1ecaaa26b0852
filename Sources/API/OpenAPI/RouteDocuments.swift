package import Primitives

/// What is documented of every route, by method and path.
///
/// A document may stand here before its route does: only routes that are there come into `/openapi.json`.
package enum RouteDocuments {
  package static let all: [RouteDocument] =
    SystemDocuments.all + SearchDocuments.all + CatalogDocuments.all + AccountDocuments.all
    + SessionDocuments.all + LedgerDocuments.all + PaymentDocuments.all + WebhookDocuments.all
    + ChatDocuments.all + PrivacyDocuments.all + AuthorizationDocuments.all

  /// By `Route.key`.
  package static let named = Dictionary(
    all.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })

  /// Codes that are no single route's answer: of an address with another method; of one event among others; of
  /// holds, which sessions alone resolve; and one that is kept for content types.
  package static let elsewhere: Set<ProblemCode> = [
    .methodNotAllowed, .notAcceptable, .searchIDInvalid, .searchIDExpired, .serviceNotShown,
    .holdAlreadyCaptured, .holdAlreadyVoided, .holdAlreadyExpired, .exceedsHold,
  ]
}

extension Route {
  /// Method and path, as documents name a route.
  package var key: String { method + " " + path }
}

/// Parameters that lists share.
enum ListParameters {
  static let limit = RouteDocument.Parameter.query(
    "limit", Schema.integer(1...100).otherwise(50))
  static let before = RouteDocument.Parameter.query(
    "before", Schema.id.about("`next` of the page before."))
  static let after = RouteDocument.Parameter.query(
    "after", Schema.string.about("`next` of the page before."))

  /// A page of rows under a name, with the place where the next one starts.
  static func page(_ name: String, of row: Schema) -> Schema {
    Schema.object([name: .list(row), "next": .string.orNull])
  }
}
