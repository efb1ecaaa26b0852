internal import Primitives

/// What operators and other servers ask.
enum SystemDocuments {
  static let all: [RouteDocument] = [
    RouteDocument(
      "GET /healthz", .system,
      answers: [.json(.object(["status": .one(of: "ok")]), "The process is up.")]),
    RouteDocument(
      "GET /readyz", .system,
      answers: [
        .json(
          .object([
            "status": .one(of: "ready"), "revision": .count, "asOf": .count, "services": .count,
            "vectors": .boolean, "version": .string, "writable": .boolean,
            "reason?": .one(of: "ledger_verifying", "ledger_unsound", "write_failed"),
          ]), "Searches work; writes too where `writable` says so.")
      ]),
    RouteDocument(
      "GET /metrics", .system,
      answers: [.other("text/plain; version=0.0.4; charset=utf-8", "Prometheus' text format.")]),
    RouteDocument(
      "GET /.well-known/jwks.json", .system,
      answers: [
        Answer(
          status: 200, words: "The keys that verify tokens (RFC 7517); cached for five minutes.",
          contents: [
            (
              "application/jwk-set+json",
              .object(["keys": .list(.object(["kty": .string, "kid": .string, "alg": .string]))])
            )
          ]), notModified,
      ]),
    RouteDocument(
      "GET /openapi.json", .system, words: "With an ETag; `If-None-Match` gives 304.",
      answers: [
        .json(
          .object(["openapi": .string, "info": .document, "paths": .document]), "This document."),
        notModified,
      ]),
    RouteDocument(
      "GET /docs", .system,
      answers: [.other("text/html; charset=utf-8", "This document for people."), notModified]),
    RouteDocument(
      "GET /docs/style.css", .system,
      answers: [.other("text/css; charset=utf-8", "Its style."), notModified]),
    RouteDocument(
      "GET /demo/app", .system,
      answers: [.other("text/html; charset=utf-8", "The sandbox provider's page.")]),
    RouteDocument(
      "GET /demo/app.js", .system,
      answers: [.other("text/javascript; charset=utf-8", "Its script.")]),
    RouteDocument(
      "GET /demo/app.css", .system, answers: [.other("text/css; charset=utf-8", "Its style.")]),
  ]

  private typealias Answer = RouteDocument.Answer
  private static let notModified = Answer.empty("It has not changed.", status: 304)
}
